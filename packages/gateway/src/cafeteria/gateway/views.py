"""What the gateway remembers and may lose at any moment: what stock last said is left, and how many orders wait.

A hint may refuse, never promise. It refuses only on entries that stock has renewed within the last three
seconds. After portions came back (a restock, a release, put on sale again) the old entry can refuse until the
news of it arrives: within 100 ms as a rule, one second if that message is lost, and never longer than three,
when the entry is too old to count and stock itself is asked. What was sold out at the entry's version was
sold out in truth: nobody is refused portions that the entry's version still had.
"""

from collections.abc import Iterable
from decimal import Decimal
from time import monotonic
from uuid import UUID

import msgspec

from cafeteria.contracts.gateway import Menu, MenuItem
from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.values import Line

FRESH_FOR_S = 3.0  # stock says everything each second: two such messages may be lost


class _Entry(msgspec.Struct, kw_only=True):
    name: str
    unit_price: Decimal
    available: int
    version: int
    heard_at_s: float


class AvailabilityView:
    """Keeps the highest version of each item; only a version not below the kept one renews an entry's age.

    Times are seconds on any clock that only goes forward, handed in by the caller.
    """

    def __init__(self) -> None:
        self._entries: dict[UUID, _Entry] = {}
        self.is_complete = False  # has heard of every item that there is

    def take(self, heard: AvailabilityChanged, *, at_s: float) -> None:
        for item in heard.items:
            self._take_item(item, at_s)
        self.is_complete = self.is_complete or heard.complete

    def _take_item(self, item: ItemAvailability, at_s: float) -> None:
        kept = self._entries.get(item.item_id)
        if kept is not None and item.version < kept.version:
            return
        self._entries[item.item_id] = _Entry(
            name=item.name,
            unit_price=item.unit_price,
            available=item.available,
            version=item.version,
            heard_at_s=at_s,
        )

    def short_items(self, lines: Iterable[Line], *, at_s: float) -> tuple[UUID, ...]:
        """Items of which fewer are left than asked for; none unless every line's entry is there and fresh."""
        short: list[UUID] = []
        oldest_s = at_s - FRESH_FOR_S
        for line in lines:
            entry = self._entries.get(line.item_id)
            if entry is None or entry.heard_at_s < oldest_s:
                return ()
            if entry.available < line.quantity:
                short.append(line.item_id)
        return tuple(short)

    def menu(self, *, at_s: float) -> Menu:
        """By name; `available` is null where the entry is too old to say."""
        oldest_s = at_s - FRESH_FOR_S
        items = sorted(self._entries.items(), key=lambda item: (item[1].name, item[0]))
        return Menu(
            items=tuple(
                MenuItem(
                    item_id=item_id,
                    name=entry.name,
                    unit_price=entry.unit_price,
                    available=entry.available if entry.heard_at_s >= oldest_s else None,
                )
                for item_id, entry in items
            )
        )


MOVING_S = 0.5  # longer than a decision takes under any load that is not refused


class Backlog:
    """How many orders are PENDING: counted in the database each second, kept up with by what is done here."""

    def __init__(self) -> None:
        self.pending = 0
        self._settled_at_s = 0.0

    @property
    def is_moving(self) -> bool:
        """Stock decides: what waits, waits for its turn."""
        return monotonic() - self._settled_at_s < MOVING_S

    def received(self, count: int) -> None:
        self.pending += count

    def settled(self, count: int) -> None:
        self.pending = max(0, self.pending - count)
        self._settled_at_s = monotonic()

    def counted(self, count: int) -> None:
        self.pending = count
