"""What the kitchen asks of others: which of its events gateway and notification lack.

Silence is "unknown": None comes back, and nothing may be concluded from it.
"""

from collections.abc import Sequence
from uuid import UUID

from cafeteria.chassis.bus import Bus, NoAnswer, PeerRefused
from cafeteria.contracts import bus as wire
from cafeteria.contracts.orders import AskKnown, KnownAnswered
from cafeteria.contracts.values import OrderVersion
from cafeteria.contracts.wire import Rpc

KNOWN_DEADLINE_S = 1.5  # less than what a stopping process has left


class Peers:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @property
    def are_reachable(self) -> bool:
        """Whether asking makes sense at all: without the bus nobody answers."""
        return self._bus.is_connected

    async def lacking_at_gateway(self, items: Sequence[OrderVersion]) -> frozenset[UUID] | None:
        return await self._lacking(wire.GATEWAY_KNOWN, items)

    async def lacking_at_notification(self, items: Sequence[OrderVersion]) -> frozenset[UUID] | None:
        return await self._lacking(wire.NOTIFICATION_KNOWN, items)

    async def _lacking(
        self, rpc: Rpc[AskKnown, KnownAnswered], items: Sequence[OrderVersion]
    ) -> frozenset[UUID] | None:
        """Orders whose version the owner of `rpc` has not heard of; None when it cannot say."""
        if not items:
            return frozenset()
        try:
            answer = await self._bus.request(rpc, AskKnown(items=tuple(items)), deadline_s=KNOWN_DEADLINE_S)
        except (NoAnswer, PeerRefused):
            return None
        return None if answer.behind else frozenset(item.order_id for item in answer.missing)
