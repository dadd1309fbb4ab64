"""The one door out: whoever listens is told what is left. It is a hint; stock alone decides."""

from collections.abc import Iterable

from cafeteria.chassis.bus import Bus
from cafeteria.contracts.bus import AVAILABILITY
from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.stock.domain import StoredItem


class Listeners:
    """Everyone on the availability subject."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def tell(self, items: Iterable[StoredItem], *, complete: bool) -> None:
        """Raises NoAnswer when the bus is away: the next complete message mends it."""
        told = tuple(
            ItemAvailability(
                item_id=item.id,
                name=item.name,
                unit_price=item.price,
                available=item.available,
                version=item.version,
            )
            for item in items
        )
        await self._bus.publish(AVAILABILITY, AvailabilityChanged(items=told, complete=complete))
