"""Memory that may be lost: which items changed and have not been told yet. Postgres tells all of them anyway."""

from collections.abc import Callable, Iterable
from uuid import UUID

from cafeteria.stock.domain import StoredItem


class ChangedItems:
    """Each changed item once, in its newest state, however often it changed."""

    def __init__(self) -> None:
        self._items: dict[UUID, StoredItem] = {}
        self.when_noted: Callable[[], None] | None = None

    def note(self, items: Iterable[StoredItem]) -> None:
        """Call it after COMMIT, or students are told of portions that are still there."""
        for item in items:
            known = self._items.get(item.id)
            if known is None or known.version < item.version:
                self._items[item.id] = item
        if self._items and self.when_noted is not None:
            self.when_noted()

    def __bool__(self) -> bool:
        return bool(self._items)

    def take(self) -> list[StoredItem]:
        items = list(self._items.values())
        self._items.clear()
        return items
