"""The gateway's clients: all requests that it sends to stock, kitchen and notification.

A time-out means that the outcome is unknown, never that it is "no". Every request here may be repeated.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from uuid import UUID

from cafeteria.chassis.messaging import Bus, PeerRefused
from cafeteria.chassis.messaging.reconciliation import Receiver
from cafeteria.contracts import subjects
from cafeteria.contracts.channels import Rpc
from cafeteria.contracts.kitchen import CancelAnswered
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.stock import (
    ReleaseStock,
    ReserveOrders,
    ReserveStock,
    StockDecided,
    StockReleased,
)
from cafeteria.contracts.values import OrderVersion
from cafeteria.gateway.domain import PendingOrder, StoredOrder, cancel_ticket

DEADLINE_S = 1.0  # periodic jobs ask again anyway, and must not delay a shutdown


class Stock:
    """All methods raise NoAnswer (NoResponder without a subscriber) or PeerRefused."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def reserve(self, orders: Sequence[PendingOrder], *, deadline_s: float) -> list[StockDecided]:
        """Return stock's committed decisions; an order always gets the same one.

        Takes up to MAX_ORDERS orders. Orders without a readable decision in the reply are undecided.
        """
        request = ReserveOrders(
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
        return await self._bus.request_items(subjects.RESERVE, request, deadline_s=deadline_s)

    async def release(self, order_id: UUID) -> StockReleased:
        return await self._bus.request(
            subjects.RELEASE, ReleaseStock(order_id=order_id), deadline_s=DEADLINE_S
        )


def is_away(refusal: PeerRefused) -> bool:
    """Return whether the peer cannot answer any request now (503); otherwise it refuses this particular request."""
    return refusal.peer_code == str(HTTPStatus.SERVICE_UNAVAILABLE)


class Kitchen:
    """All methods raise NoAnswer or PeerRefused."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def cancel(self, order: StoredOrder) -> CancelAnswered:
        """Cancel the ticket, unless cooking has begun. A repeat gets the same answer."""
        return await self._bus.request(subjects.CANCEL, cancel_ticket(order), deadline_s=DEADLINE_S)


def receivers_over(bus: Bus) -> Mapping[str, Receiver]:
    """Return the receivers of the gateway's messages, by name: kitchen of cook commands, notification of status events."""
    return {
        subjects.KITCHEN: _receiver(bus, subjects.KITCHEN_DELIVERY),
        subjects.NOTIFICATION: _receiver(bus, subjects.NOTIFICATION_DELIVERY),
    }


def _receiver(bus: Bus, rpc: Rpc[CheckDelivery, DeliveryStatus]) -> Receiver:
    async def missing(versions: Sequence[tuple[UUID, int]]) -> frozenset[UUID] | None:
        request = CheckDelivery(
            items=tuple(OrderVersion(order_id=id_, version=version) for id_, version in versions)
        )
        answer = await bus.request(rpc, request, deadline_s=DEADLINE_S)
        return None if answer.behind else frozenset(order.order_id for order in answer.missing)

    return missing
