"""The observed history: every request with its answer, and every event of every stream.

The checker compares it with the stored data. A request without an answer is kept too: it may have had an effect.
"""

from enum import StrEnum
from uuid import UUID

import msgspec

from cafeteria.contracts.gateway import Order, OrderLine
from cafeteria.contracts.values import OrderStatus

OK, CREATED, ACCEPTED, CONFLICT = 200, 201, 202, 409

_ORDER = msgspec.json.Decoder(Order)


class Intent(StrEnum):
    """The purpose of a request."""

    ORDER = "order"
    CANCEL = "cancel"
    READ = "read"


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Times are seconds since the rush began; `status` is None where no answer came.

    `retry_after_s` is what the answer asked for before a repeat.
    """

    intent: Intent
    student_id: str
    sent_at_s: float
    ended_at_s: float
    status: int | None
    body: bytes = b""
    key: str | None = None
    lines: tuple[OrderLine, ...] = ()
    order_id: UUID | None = None
    replayed: bool = False
    retry_after_s: int | None = None

    def shown(self) -> Order:
        """Return the order in the answer. Raises msgspec.MsgspecError when there is none."""
        return _ORDER.decode(self.body)

    @property
    def shown_id(self) -> UUID:
        return self.shown().id


class ObservedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream. `client` is one student's device, `connection` counts its reconnects.

    `code` is the pickup code that it told.
    """

    student_id: str
    client: int
    connection: int
    seen_at_s: float
    event_id: str
    order_id: UUID
    status: OrderStatus
    version: int
    code: str | None = None


class History(msgspec.Struct, kw_only=True):
    """Everything that the load clients of one rush observed, in the order in which it ended."""

    exchanges: list[Exchange] = msgspec.field(default_factory=list)
    observed_statuses: list[ObservedStatus] = msgspec.field(default_factory=list)

    def orders(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.intent is Intent.ORDER]

    def cancelled_ids(self) -> set[UUID]:
        """Return the orders for which a cancel request was answered with success."""
        return {cancel.order_id for cancel in self._cancels() if cancel.status == OK and cancel.order_id}

    def cancel_wishes(self) -> set[UUID]:
        """Return the orders with a cancel request, whatever its answer was."""
        return {cancel.order_id for cancel in self._cancels() if cancel.order_id}

    def _cancels(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.intent is Intent.CANCEL]
