"""The consistency check of a round: counts in the tables, once all orders are carried, against the accepted orders.

Ids begin with the time, so they separate the rows of a round from older rows.
"""

from time import time
from uuid import UUID

import asyncpg
import msgspec

STATUSES_TO_READY = 4
STATUSES_TO_REJECTED = 2

_COUNTS = """
SELECT count(*) AS orders,
    count(*) FILTER (WHERE status = 'READY') AS ready,
    count(*) FILTER (WHERE status = 'REJECTED') AS rejected,
    (SELECT count(*) FROM kitchen.kitchen_orders WHERE id >= $1 AND status = 'READY') AS tickets,
    (SELECT count(*) FROM notification.notifications WHERE id >= $1) AS notified,
    (SELECT coalesce(sum(quantity_deducted), 0) FROM stock.stock_transactions WHERE id >= $1) AS taken
FROM gateway.orders WHERE id >= $1
"""

_WRONG_ITEMS = """
SELECT count(*) FILTER (WHERE came_in - quantity <> coalesce(taken, 0)) FROM stock.inventory
JOIN (SELECT item_id, sum(quantity) AS came_in FROM stock.restocks GROUP BY item_id) AS restocked USING (item_id)
LEFT JOIN (SELECT item_id, sum(quantity_deducted) AS taken FROM stock.stock_transactions GROUP BY item_id) AS ledger
    USING (item_id)
"""


class StoredCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of rows and portions since a moment."""

    orders: int
    ready: int
    rejected: int
    tickets: int
    notified: int
    taken: int

    @property
    def is_complete(self) -> bool:
        """Whether every order has reached its last status, and the log has all statuses of all orders."""
        notified = self.ready * STATUSES_TO_READY + self.rejected * STATUSES_TO_REJECTED
        return self.ready + self.rejected == self.orders and self.notified == notified


def moment() -> UUID:
    """Return the lowest id that can be made from now on."""
    return UUID(int=int(time() * 1000) << 80)


async def read(admin: asyncpg.Connection, *, since: UUID) -> StoredCounts:
    [row] = await admin.fetch(_COUNTS, since)
    return StoredCounts(**dict(row))


async def find_errors(
    admin: asyncpg.Connection, counts: StoredCounts, *, accepted: int, unanswered: int
) -> list[str]:
    """Return a sentence for each error. Up to `unanswered` orders may exist whose answer the generator cut off."""
    errors = []
    if not counts.is_complete:
        errors.append(f"not all orders were carried in time: {counts}")
    if counts.tickets != counts.ready:
        errors.append(f"{counts.ready} orders are READY and {counts.tickets} tickets")
    if not accepted <= counts.ready <= accepted + unanswered:
        errors.append(f"{accepted} orders were accepted and {counts.ready} are READY")
    if counts.taken != counts.ready:
        errors.append(f"{counts.taken} portions left the store for {counts.ready} orders")
    if wrong := await admin.fetchval(_WRONG_ITEMS):
        errors.append(f"the ledger of {wrong} items does not add up")
    return errors
