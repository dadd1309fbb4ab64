"""The refusals of stock. A REJECTED order is not an error: it is an answer."""

from uuid import UUID

from cafeteria.chassis.runtime.errors import Conflict, InvalidRequest, NotFound, ServiceError
from cafeteria.contracts.problems import ProblemCode


class ImpossibleOrder(InvalidRequest):
    """The request breaks a rule of every order; nothing is decided, nothing is stored."""


class TooManyOrders(InvalidRequest):
    """The request names more orders than allowed; nothing is decided, nothing is stored."""


class ImpossibleItem(InvalidRequest):
    """The item's name is not allowed; nothing is stored."""


class ItemNotFound(NotFound):
    def __init__(self, item_id: UUID) -> None:
        super().__init__("There is no such item.", item_ids=(item_id,))


class IdempotencyKeyReused(ServiceError):
    code = ProblemCode.IDEMPOTENCY_KEY_REUSED
    status = 422
    title = "Idempotency-Key used for another request"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key belongs to an earlier request of yours that asked for something else, and was done."
            " Nothing was changed now. Use a new key for a new request."
        )


class StoreFull(Conflict):
    def __init__(self, item_id: UUID, *, most: int) -> None:
        super().__init__(
            f"The store holds at most {most:,} portions of an item; nothing was added.", item_ids=(item_id,)
        )
