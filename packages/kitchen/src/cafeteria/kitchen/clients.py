"""The kitchen's outbound messages: its pace, a hint for subscribers; and delivery checks.

A delivery check asks which of its events gateway and notification have not received.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.reconciliation import Receiver
from cafeteria.contracts.channels import Rpc
from cafeteria.contracts.kitchen import Pace
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.subjects import GATEWAY, GATEWAY_DELIVERY, NOTIFICATION, NOTIFICATION_DELIVERY, PACE
from cafeteria.contracts.values import OrderVersion

DEADLINE_S = 1.5  # less than the time that a process has to stop


class PacePublisher:
    """Publishes to every gateway and notification that is there at the moment."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, pace: Pace) -> None:
        """Publish the pace. Raises NoAnswer when the bus is unavailable; the next one replaces it."""
        await self._bus.publish(PACE, pace)


def receivers_over(bus: Bus) -> Mapping[str, Receiver]:
    """Return the receivers of the kitchen's events, by name."""
    return {GATEWAY: _receiver(bus, GATEWAY_DELIVERY), NOTIFICATION: _receiver(bus, NOTIFICATION_DELIVERY)}


def _receiver(bus: Bus, rpc: Rpc[CheckDelivery, DeliveryStatus]) -> Receiver:
    async def missing(versions: Sequence[tuple[UUID, int]]) -> frozenset[UUID] | None:
        request = CheckDelivery(
            items=tuple(OrderVersion(order_id=id_, version=version) for id_, version in versions)
        )
        answer = await bus.request(rpc, request, deadline_s=DEADLINE_S)
        return None if answer.behind else frozenset(order.order_id for order in answer.missing)

    return missing
