"""What this process knows of menu and kitchen, for the streams that show them. Memory that may be lost.

The menu has a revision, which rises whenever something that a student sees has changed, and each item the revision of
its last change. So a stream needs only the revision that it has shown: what it lacks is never queued for it.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from math import inf
from uuid import UUID

import msgspec

from cafeteria.contracts.kitchen import Pace
from cafeteria.contracts.notification import CanteenPulse, Level, MenuChanged, MenuLevel
from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability

FEW = 20  # portions: below, students see how many are left
FRESH_FOR_S = 3.0  # stock publishes all items each second: two such messages may be lost
_NO_VERSION = -1  # below each version that stock gives


class _Entry(msgspec.Struct, kw_only=True):
    name: str
    unit_price: Decimal
    available: int
    version: int
    heard_at_s: float


class Canteen:
    """Keeps the highest version of each item and the latest pace. Times are seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._entries: dict[UUID, _Entry] = {}
        self._shown: dict[UUID, MenuLevel] = {}
        self._changed_in: dict[UUID, int] = {}
        self.revision = 0
        self._pace: Pace | None = None
        self._pace_heard_at_s = 0.0
        self._menu_heard_at_s: float | None = None

    def hear_availability(self, event: AvailabilityChanged, *, at_s: float) -> None:
        self._menu_heard_at_s = at_s
        for item in event.items:
            kept = self._entries.get(item.item_id)
            if kept is None or item.version >= kept.version:
                self._entries[item.item_id] = _entry(item, at_s)
        if event.complete:
            self._forget_all_but({item.item_id for item in event.items})

    def hear_pace(self, pace: Pace, *, at_s: float) -> None:
        """Keep the pace with the greatest `at`; after FRESH_FOR_S of silence any, for a clock may have been set back."""
        if self._pace is None or pace.at > self._pace.at or at_s - self._pace_heard_at_s > FRESH_FOR_S:
            self._pace, self._pace_heard_at_s = pace, at_s

    def update_menu(self, *, at_s: float) -> bool:
        """Bring the shown menu up to date; return whether a new revision began."""
        changed = [
            shown
            for item_id, entry in self._entries.items()
            if _looks_different(shown := _level(item_id, entry, at_s), self._shown.get(item_id))
        ]
        if changed:
            self.revision += 1
            for shown in changed:
                self._shown[shown.item_id] = shown
                self._changed_in[shown.item_id] = self.revision
        return bool(changed)

    def menu_since(self, revision: int) -> MenuChanged:
        """Return the items that changed after this revision, by name; all of them after revision 0."""
        items = [self._shown[item_id] for item_id, changed in self._changed_in.items() if changed > revision]
        return MenuChanged(items=tuple(sorted(items, key=lambda item: (item.name, item.item_id))))

    def pulse(self, *, at: datetime, at_s: float, next_s: float) -> CanteenPulse:
        return CanteenPulse(
            at=at,
            next_s=next_s,
            kitchen=self._pace,
            kitchen_age_s=None if self._pace is None else _age(self._pace_heard_at_s, at_s),
            menu_age_s=None if self._menu_heard_at_s is None else _age(self._menu_heard_at_s, at_s),
        )

    def _forget_all_but(self, item_ids: Iterable[UUID]) -> None:
        """Show the others as unknown until they are heard of again, in any version.

        Stock never deletes an item, but a database that was restored may lack one.
        """
        for item_id in self._entries.keys() - item_ids:
            forgotten = self._entries[item_id]
            forgotten.version, forgotten.heard_at_s = _NO_VERSION, -inf


def _entry(item: ItemAvailability, at_s: float) -> _Entry:
    return _Entry(
        name=item.name,
        unit_price=item.unit_price,
        available=item.available,
        version=item.version,
        heard_at_s=at_s,
    )


def _level(item_id: UUID, entry: _Entry, at_s: float) -> MenuLevel:
    is_known = at_s - entry.heard_at_s <= FRESH_FOR_S
    return MenuLevel(
        item_id=item_id,
        name=entry.name,
        unit_price=entry.unit_price,
        available=entry.available if is_known else None,
        level=_level_of(entry.available) if is_known else Level.UNKNOWN,
    )


def _looks_different(item: MenuLevel, before: MenuLevel | None) -> bool:
    """While there is plenty of an item, its number is none to see."""
    if before is None or item.level is not before.level or item.level is Level.FEW:
        return item != before
    return (item.name, item.unit_price) != (before.name, before.unit_price)


def _level_of(available: int) -> Level:
    if available > FEW:
        return Level.PLENTY
    return Level.FEW if available > 0 else Level.GONE


def _age(heard_at_s: float, at_s: float) -> float:
    return round(max(0.0, at_s - heard_at_s), 1)
