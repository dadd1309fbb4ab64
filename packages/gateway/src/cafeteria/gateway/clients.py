"""Clients for stock, kitchen and notification: all requests that the gateway sends to other services.

A time-out means that the outcome is unknown, never that it is "no". Every request here may be repeated.
"""

from collections.abc import Sequence
from http import HTTPStatus
from uuid import UUID

from cafeteria.chassis.messaging import Bus, PeerRefused
from cafeteria.contracts import subjects
from cafeteria.contracts.channels import Rpc
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
from cafeteria.gateway.domain import PendingOrder, StoredOrder, cancel_ticket

ASK_DEADLINE_S = 1.0  # periodic jobs ask again anyway, and must not delay a shutdown


class Stock:
    """All methods raise NoAnswer (NoResponder when nobody listens) or PeerRefused."""

    def __init__(self, connection: Bus) -> None:
        self._bus = connection

    async def reserve(self, orders: Sequence[PendingOrder], *, deadline_s: float) -> list[StockDecided]:
        """Return stock's committed decisions; an order always gets the same one.

        Takes up to MAX_ORDERS orders. Orders without a readable decision in the reply are undecided.
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
        return await self._bus.request_items(subjects.RESERVE, question, deadline_s=deadline_s)

    async def release(self, order_id: UUID) -> StockReleased:
        return await self._bus.request(
            subjects.RELEASE, ReleaseStock(order_id=order_id), deadline_s=ASK_DEADLINE_S
        )


def is_away(refusal: PeerRefused) -> bool:
    """Whether the peer cannot answer any request now (503); otherwise it refuses this particular request."""
    return refusal.peer_code == str(HTTPStatus.SERVICE_UNAVAILABLE)


class Kitchen:
    """All methods raise NoAnswer or PeerRefused."""

    def __init__(self, connection: Bus) -> None:
        self._bus = connection

    async def cancel(self, order: StoredOrder) -> CancelAnswered:
        """Cancel the ticket, unless cooking has begun. A repeat gets the same answer."""
        return await self._bus.request(subjects.CANCEL, cancel_ticket(order), deadline_s=ASK_DEADLINE_S)


class Receiver:
    """A receiver of the gateway's messages: the kitchen of cook commands, notification of status events."""

    def __init__(
        self,
        connection: Bus,
        known: Rpc[AskKnown, KnownAnswered],
    ) -> None:
        self.name = known.owner
        self._bus = connection
        self._known = known

    async def missing(self, asked: Sequence[OrderVersion]) -> frozenset[UUID] | None:
        """The orders whose messages it has not got; None if its consumer lags too far to tell."""
        answer = await self._bus.request(self._known, AskKnown(items=tuple(asked)), deadline_s=ASK_DEADLINE_S)
        return None if answer.behind else frozenset(order.order_id for order in answer.missing)
