"""A cache of the versions that are logged, of the latest orders: events repeat most of them. The memory may be lost."""

from collections.abc import Iterable
from itertools import islice
from uuid import UUID

from cafeteria.notification.domain import Status


class LoggedVersions:
    """Saves look-ups of earlier statuses, and decides nothing: the log is always searched for an event's own status."""

    def __init__(self, *, orders_limit: int = 20_000) -> None:
        self._orders_limit = orders_limit
        self._versions: dict[UUID, int] = {}

    def of(self, order_id: UUID) -> int:
        """Return one bit for each version that is known to be logged."""
        return self._versions.get(order_id, 0)

    def add(self, statuses: Iterable[Status]) -> None:
        """Add logged statuses; drop the older half of the orders when there are too many."""
        for status in statuses:
            self._versions[status.order_id] = self.of(status.order_id) | 1 << status.version
        if len(self._versions) > self._orders_limit:
            for order_id in list(islice(self._versions, self._orders_limit // 2)):
                del self._versions[order_id]

    def clear(self) -> None:
        self._versions.clear()
