"""The availability of items, cached in memory, which may be lost at any time.

The cache may refuse an order but never accept one. It refuses only on entries that stock has renewed within the last
three seconds. After portions come back (a restock, a release, put on sale again) the old entry can refuse until the
event arrives: within 100 ms as a rule, one second if that message is lost, and never longer than three, when the entry
is too old to count and the order goes to stock itself. An item that is sold out in an entry was sold out at that
version in fact: no order is refused portions that the entry's version still had.
"""

from collections.abc import Iterable
from decimal import Decimal
from math import inf
from time import monotonic
from types import TracebackType
from typing import Self
from uuid import UUID

import msgspec

from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.gateway import Menu, MenuItem
from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.values import Line

FRESH_FOR_S = 3.0  # stock publishes all items each second: two such messages may be lost
MENU_AWAITED_S = 5.0  # stock publishes all items each second; without them, each order asks stock


class _Entry(msgspec.Struct, kw_only=True):
    name: str
    unit_price: Decimal
    available: int
    version: int
    received_at_s: float


class AvailabilityCache:
    """Caches the highest version of each item; only a version not below the cached one renews an entry's age.

    Times are seconds on a monotonic clock, passed in by the caller. As a context manager it is open for MENU_AWAITED_S
    before it is ready without the items of stock.
    """

    def __init__(self) -> None:
        self._entries: dict[UUID, _Entry] = {}
        self._awaited_until_s = inf
        self.is_complete = False  # has received every item that there is

    async def __aenter__(self) -> Self:
        self._awaited_until_s = monotonic() + MENU_AWAITED_S
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing has to be closed."""

    async def check(self) -> None:
        """Raises Unavailable until all items have arrived, for MENU_AWAITED_S after the opening at most."""
        if not self.is_complete and monotonic() < self._awaited_until_s:
            raise Unavailable("stock has not published yet what is left")

    def update(self, event: AvailabilityChanged, *, at_s: float) -> None:
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
        """Return items with fewer portions left than ordered; none unless every line has a cached entry that is fresh."""
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
        """Return the menu by name; `available` is null if the entry is older than FRESH_FOR_S."""
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
