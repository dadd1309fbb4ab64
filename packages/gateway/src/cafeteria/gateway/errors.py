"""The gateway's errors. Each text states what happened, what was kept and what to do; the code is stable."""

from datetime import UTC, datetime
from uuid import UUID

from cafeteria.chassis.runtime.errors import LimitReached, ServiceError, Unavailable
from cafeteria.contracts.problems import ProblemCode

SEND_AGAIN_WITH_THE_SAME_KEY = "Send the same request again, with the same Idempotency-Key."


class IdempotencyKeyReused(ServiceError):
    """The key belongs to an order with other lines."""

    code = ProblemCode.IDEMPOTENCY_KEY_REUSED
    status = 422
    title = "Idempotency-Key used for another order"

    def __init__(self, *, order_id: UUID) -> None:
        super().__init__(
            "This Idempotency-Key belongs to an earlier order with other lines, which is unchanged."
            " Use a new key for a new order.",
            order_id=order_id,
        )


class Refused(ServiceError):
    """Stock has rejected the order; the decision is final."""

    status = 409


class OutOfStock(Refused):
    """`item_ids` are the items with too few portions left; an item that is off sale has none."""

    code = ProblemCode.OUT_OF_STOCK
    title = "Out of stock"

    def __init__(self, *, item_ids: tuple[UUID, ...], order_id: UUID | None = None) -> None:
        super().__init__(
            "There are not enough portions left for this order, so nothing was taken."
            " Order fewer portions or another dish.",
            item_ids=item_ids,
            order_id=order_id,
        )


class UnknownItem(Refused):
    code = ProblemCode.UNKNOWN_ITEM
    title = "Unknown item"

    def __init__(self, *, item_ids: tuple[UUID, ...], order_id: UUID | None = None) -> None:
        super().__init__(
            "The order names items that do not exist, so nothing was taken. Read the menu again.",
            item_ids=item_ids,
            order_id=order_id,
        )


class OrderExpired(Refused):
    code = ProblemCode.EXPIRED
    title = "Order expired"

    def __init__(self, *, order_id: UUID) -> None:
        super().__init__(
            "The stock could not be asked in time, so the order was given up and nothing was taken."
            " Order again with a new Idempotency-Key.",
            order_id=order_id,
        )


class OpenOrdersReached(LimitReached):
    def __init__(self, *, limit: int, retry_after_s: int) -> None:
        super().__init__(
            f"You may have {limit} open orders at a time, and you have as many. Nothing was ordered."
            " Order again when one of them is ready, or cancel one.",
            retry_after_s=retry_after_s,
        )


class PortionsReached(LimitReached):
    """`item_ids` are the items of which the order has too many portions; `fits_later` if waiting would help at all."""

    def __init__(
        self, *, limit: int, item_ids: tuple[UUID, ...], retry_after_s: int, fits_later: bool
    ) -> None:
        wait = f", or try again in {-(-retry_after_s // 60)} min" if fits_later else ""
        super().__init__(
            f"You may order {limit} portions of one item within an hour, and this order would be more."
            f" Nothing was ordered. Order fewer portions{wait}.",
            retry_after_s=retry_after_s,
            item_ids=item_ids,
        )


class OrdersPerDayReached(LimitReached):
    def __init__(self, *, limit: int, retry_after_s: int) -> None:
        super().__init__(
            f"You have placed {limit:,} orders within a day, which is the most. Nothing was ordered."
            " Try again later.",
            retry_after_s=retry_after_s,
        )


class IntakePaused(Unavailable):
    """The kitchen takes no orders now. `reopens_at` is absent where the pause has no end yet."""

    code = ProblemCode.INTAKE_PAUSED
    title = "Intake paused"

    def __init__(self, *, reopens_at: datetime | None, retry_after_s: int) -> None:
        when = "" if reopens_at is None else f", until {reopens_at.astimezone(UTC):%H:%M:%S} UTC"
        super().__init__(
            f"The kitchen takes no orders just now{when}. This request ordered nothing."
            f" Send it again in {retry_after_s} s, with the same Idempotency-Key.",
            retry_after_s=retry_after_s,
            reopens_at=reopens_at,
        )


class KitchenFull(Unavailable):
    """As many orders wait and cook as `GATEWAY_KITCHEN_LIMIT` allows; `orders_in_progress` is how many."""

    code = ProblemCode.KITCHEN_FULL
    title = "Kitchen full"

    def __init__(self, *, orders_in_progress: int, retry_after_s: int) -> None:
        super().__init__(
            f"The kitchen has {orders_in_progress} orders in progress, and takes no more until some are ready."
            f" This request ordered nothing. Send it again in {retry_after_s} s, with the same Idempotency-Key.",
            retry_after_s=retry_after_s,
            orders_in_progress=orders_in_progress,
        )


class TooLateToCancel(ServiceError):
    code = ProblemCode.TOO_LATE_TO_CANCEL
    status = 409
    title = "Too late to cancel"

    def __init__(self, *, order_id: UUID) -> None:
        super().__init__(
            "The kitchen has begun with this order, or it has ended. It stays as it is.", order_id=order_id
        )


class OrderUndecided(ServiceError):
    code = ProblemCode.ORDER_UNDECIDED
    status = 409
    title = "Order not decided yet"

    def __init__(self, *, order_id: UUID) -> None:
        super().__init__(
            "Whether the stock has taken this order is not known yet, so it cannot be cancelled now."
            " Try again in a moment.",
            order_id=order_id,
        )


class OutcomeUnknown(Unavailable):
    """The outcome of the commit is unknown: the order may exist or not."""

    def __init__(self) -> None:
        super().__init__(f"It is not known whether this order was received. {SEND_AGAIN_WITH_THE_SAME_KEY}")


class KitchenSilent(Unavailable):
    """The kitchen may have cancelled the order or not; asking again is safe."""

    def __init__(self, *, order_id: UUID) -> None:
        super().__init__(
            "The kitchen does not answer, so it is not known whether the order is cancelled. Cancel again.",
            order_id=order_id,
        )


class DecisionUnusableError(Exception):
    """Stock's decision does not fit the order of the request: a bug in stock or in the gateway."""
