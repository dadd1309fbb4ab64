"""The one door out: what the gateway asks of stock, kitchen and notification.

A time-out means that the outcome is unknown, never that it is "no". Every question here may be asked again.
"""

from collections.abc import Sequence
from http import HTTPStatus
from uuid import UUID

from cafeteria.chassis.bus import Bus, PeerRefused
from cafeteria.contracts import bus
from cafeteria.contracts.kitchen import CancelAnswered
from cafeteria.contracts.orders import AskKnown, KnownAnswered
from cafeteria.contracts.stock import (
    ReleaseStock,
    ReserveOrders,
    ReserveStock,
    StockDecided,
    StockReleased,
)
from cafeteria.contracts.values import OrderVersion
from cafeteria.contracts.wire import Rpc
from cafeteria.gateway.domain import PendingOrder, StoredOrder, cancel_ticket

ASK_DEADLINE_S = 1.0  # loops ask again anyway, and must not hold up a shutdown


class Stock:
    """All methods raise NoAnswer (NoResponder when nobody listens) or PeerRefused."""

    def __init__(self, connection: Bus) -> None:
        self._bus = connection

    async def reserve(self, orders: Sequence[PendingOrder], *, deadline_s: float) -> list[StockDecided]:
        """Stock's committed decisions, for each order always the same one.

        Up to MAX_ORDERS are asked about. What the reply leaves out, or cannot be read in it, is undecided.
        """
        question = ReserveOrders(
            orders=tuple(
                [
                    ReserveStock(
                        order_id=order.id,
                        lines=order.lines,
                        age_ms=order.age_ms,
                        traceparent=order.traceparent,
                    )
                    for order in orders
                ]
            )
        )
        return await self._bus.request_items(bus.RESERVE, question, deadline_s=deadline_s)

    async def release(self, order_id: UUID) -> StockReleased:
        return await self._bus.request(
            bus.RELEASE, ReleaseStock(order_id=order_id), deadline_s=ASK_DEADLINE_S
        )


def is_away(refusal: PeerRefused) -> bool:
    """The peer cannot decide anything now, whatever it is asked; otherwise the question is what it refuses."""
    return refusal.peer_code == str(HTTPStatus.SERVICE_UNAVAILABLE)


class Kitchen:
    """All methods raise NoAnswer or PeerRefused."""

    def __init__(self, connection: Bus) -> None:
        self._bus = connection

    async def cancel(self, order: StoredOrder) -> CancelAnswered:
        """Asked twice, it answers the same: the ticket is cancelled, or cooking had begun."""
        return await self._bus.request(bus.CANCEL, cancel_ticket(order), deadline_s=ASK_DEADLINE_S)


class Receiver:
    """Whoever must come to know orders by what the gateway says: kitchen of its work, notification of its news."""

    def __init__(
        self,
        connection: Bus,
        known: Rpc[AskKnown, KnownAnswered],
    ) -> None:
        self.name = known.owner
        self._bus = connection
        self._known = known

    async def missing(self, asked: Sequence[OrderVersion]) -> frozenset[UUID] | None:
        """Those of the orders that it does not know; None when it is too far behind to say."""
        answer = await self._bus.request(self._known, AskKnown(items=tuple(asked)), deadline_s=ASK_DEADLINE_S)
        return None if answer.behind else frozenset(order.order_id for order in answer.missing)
