"""Stock's outbound messages: how many portions are left. Availability is a hint for subscribers; stock alone decides."""

from collections.abc import Iterable

from cafeteria.chassis.messaging import Bus
from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.subjects import AVAILABILITY
from cafeteria.stock.domain import StoredItem


class AvailabilityPublisher:
    """Publishes to every gateway that is there at the moment."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, items: Iterable[StoredItem], *, complete: bool) -> None:
        """Publish the items' availability. Raises NoAnswer when the bus is unavailable.

        The next complete message replaces a lost one.
        """
        availability = tuple(
            ItemAvailability(
                item_id=item.id,
                name=item.name,
                unit_price=item.price,
                available=item.available,
                version=item.version,
            )
            for item in items
        )
        await self._bus.publish(AVAILABILITY, AvailabilityChanged(items=availability, complete=complete))
