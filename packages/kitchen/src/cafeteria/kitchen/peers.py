"""The kitchen's client for delivery checks: which of its events gateway and notification have not received.

Silence means "unknown": the client returns None, and the caller may conclude nothing from it.
"""

from collections.abc import Sequence
from uuid import UUID

from cafeteria.chassis.messaging import Bus, NoAnswer, PeerRefused
from cafeteria.contracts import subjects
from cafeteria.contracts.channels import Rpc
from cafeteria.contracts.orders import AskKnown, KnownAnswered
from cafeteria.contracts.values import OrderVersion

KNOWN_DEADLINE_S = 1.5  # less than the time that a process has to stop


class Peers:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @property
    def are_reachable(self) -> bool:
        """Whether the bus is connected: without it nobody answers."""
        return self._bus.is_connected

    async def lacking_at_gateway(self, items: Sequence[OrderVersion]) -> frozenset[UUID] | None:
        return await self._missing_at(subjects.GATEWAY_KNOWN, items)

    async def lacking_at_notification(self, items: Sequence[OrderVersion]) -> frozenset[UUID] | None:
        return await self._missing_at(subjects.NOTIFICATION_KNOWN, items)

    async def _missing_at(
        self, rpc: Rpc[AskKnown, KnownAnswered], items: Sequence[OrderVersion]
    ) -> frozenset[UUID] | None:
        """Return the orders whose version the owner of `rpc` has not received; None when it cannot tell."""
        if not items:
            return frozenset()
        try:
            answer = await self._bus.request(rpc, AskKnown(items=tuple(items)), deadline_s=KNOWN_DEADLINE_S)
        except (NoAnswer, PeerRefused):
            return None
        return None if answer.behind else frozenset(item.order_id for item in answer.missing)
