"""The changed items that are not published yet, in memory that may be lost: a periodic job publishes all items."""

from collections.abc import Callable, Iterable
from uuid import UUID

from cafeteria.stock.domain import StoredItem


class ChangedItems:
    """A set of changed items that keeps the newest state of each item."""

    def __init__(self) -> None:
        self._items: dict[UUID, StoredItem] = {}
        self.when_noted: Callable[[], None] | None = None

    def note(self, items: Iterable[StoredItem]) -> None:
        """Add changed items. Call it after COMMIT, or students see quantities that may still be rolled back."""
        for item in items:
            known = self._items.get(item.id)
            if known is None or known.version < item.version:
                self._items[item.id] = item
        if self._items and self.when_noted is not None:
            self.when_noted()

    def __bool__(self) -> bool:
        return bool(self._items)

    def take(self) -> list[StoredItem]:
        """Return all changed items and clear the set."""
        items = list(self._items.values())
        self._items.clear()
        return items
