"""The changed items that are not published yet, in memory that may be lost: a periodic job publishes all items."""

import asyncio
from collections.abc import Iterable
from uuid import UUID

from cafeteria.stock.domain import StoredItem


class ChangeSet:
    """A set of changed items that keeps the newest state of each item, and sets `wake` when it is not empty."""

    def __init__(self, wake: asyncio.Event) -> None:
        self._items: dict[UUID, StoredItem] = {}
        self._wake = wake

    def add(self, items: Iterable[StoredItem]) -> None:
        """Add changed items. Call it after COMMIT, or students see quantities that may still be rolled back."""
        for item in items:
            known = self._items.get(item.id)
            if known is None or known.version < item.version:
                self._items[item.id] = item
        if self._items:
            self._wake.set()

    def __bool__(self) -> bool:
        return bool(self._items)

    def take(self) -> list[StoredItem]:
        """Return all changed items and clear the set."""
        items = list(self._items.values())
        self._items.clear()
        return items
