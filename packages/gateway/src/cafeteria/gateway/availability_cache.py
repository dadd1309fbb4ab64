"""In-memory state that may be lost at any time: the availability of items, and the number of PENDING orders.

The availability cache may refuse an order but never accept one. It refuses only on entries that stock has renewed
within the last three seconds. After portions come back (a restock, a release, put on sale again) the old entry can
refuse until the event arrives: within 100 ms as a rule, one second if that message is lost, and never longer than
three, when the entry is too old to count and the order goes to stock itself. An item that is sold out in an entry
was sold out at that version in fact: no order is refused portions that the entry's version still had.
"""

from collections.abc import Iterable
from decimal import Decimal
from time import monotonic
from uuid import UUID

import msgspec

from cafeteria.contracts.gateway import Menu, MenuItem
from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.values import Line

FRESH_FOR_S = 3.0  # stock publishes all items each second: two such messages may be lost


class _Entry(msgspec.Struct, kw_only=True):
    name: str
    unit_price: Decimal
    available: int
    version: int
    received_at_s: float


class AvailabilityView:
    """Caches the highest version of each item; only a version not below the cached one renews an entry's age.

    Times are seconds on any monotonic clock, passed in by the caller.
    """

    def __init__(self) -> None:
        self._entries: dict[UUID, _Entry] = {}
        self.is_complete = False  # has received every item that there is

    def take(self, event: AvailabilityChanged, *, at_s: float) -> None:
        for item in event.items:
            self._update_item(item, at_s)
        self.is_complete = self.is_complete or event.complete

    def _update_item(self, item: ItemAvailability, at_s: float) -> None:
        cached = self._entries.get(item.item_id)
        if cached is not None and item.version < cached.version:
            return
        self._entries[item.item_id] = _Entry(
            name=item.name,
            unit_price=item.unit_price,
            available=item.available,
            version=item.version,
            received_at_s=at_s,
        )

    def short_items(self, lines: Iterable[Line], *, at_s: float) -> tuple[UUID, ...]:
        """Items with fewer portions left than ordered; none unless every line has a cached entry that is fresh."""
        short: list[UUID] = []
        oldest_s = at_s - FRESH_FOR_S
        for line in lines:
            entry = self._entries.get(line.item_id)
            if entry is None or entry.received_at_s < oldest_s:
                return ()
            if entry.available < line.quantity:
                short.append(line.item_id)
        return tuple(short)

    def menu(self, *, at_s: float) -> Menu:
        """The menu by name; `available` is null if the entry is older than FRESH_FOR_S."""
        oldest_s = at_s - FRESH_FOR_S
        items = sorted(self._entries.items(), key=lambda item: (item[1].name, item[0]))
        return Menu(
            items=tuple(
                MenuItem(
                    item_id=item_id,
                    name=entry.name,
                    unit_price=entry.unit_price,
                    available=entry.available if entry.received_at_s >= oldest_s else None,
                )
                for item_id, entry in items
            )
        )


MOVING_S = 0.5  # longer than a decision takes under any load that is not refused


class Backlog:
    """The number of PENDING orders: counted in the database each second, adjusted by this process between counts."""

    def __init__(self) -> None:
        self.pending = 0
        self._settled_at_s = 0.0

    @property
    def is_moving(self) -> bool:
        """Whether stock decides orders at present, so that waiting ones wait only for their turn."""
        return monotonic() - self._settled_at_s < MOVING_S

    def received(self, count: int) -> None:
        self.pending += count

    def settled(self, count: int) -> None:
        self.pending = max(0, self.pending - count)
        self._settled_at_s = monotonic()

    def counted(self, count: int) -> None:
        self.pending = count
