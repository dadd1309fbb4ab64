"""Whether a round did its work: fast and wrong is not fast. Everything is counted in the tables once all is carried.

What a round has made is told from what was there before by its ids, which begin with the time.
"""

import asyncio
from time import monotonic, time
from uuid import UUID

import asyncpg
import msgspec

POLL_S = 0.25
STATUSES_TO_READY = 4
STATUSES_TO_REJECTED = 2

_UNDER_WAY = """
SELECT (SELECT count(*) FROM gateway.outbox) + (SELECT count(*) FROM kitchen.outbox)
        + (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'QUEUED')
        + (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'IN_KITCHEN')
        + (SELECT count(*) FROM gateway.orders WHERE next_ask_at IS NOT NULL) AS orders,
    (SELECT position FROM notification.position_counter) AS position
"""

_NEWEST_UNDER_WAY = """
SELECT EXISTS (
    SELECT FROM (SELECT id, status FROM gateway.orders ORDER BY id DESC LIMIT 1000) AS newest
    WHERE status IN ('PENDING', 'STOCK_VERIFIED', 'IN_KITCHEN') OR NOT EXISTS (
        SELECT FROM notification.notifications WHERE order_id = newest.id AND status_sent = newest.status))
"""
"""A service that gets no processor for a moment moves as little as one that has nothing to do. Of the orders that it has
left some are among the newest."""

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


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are of everything that was made since a moment."""

    orders: int
    ready: int
    rejected: int
    tickets: int
    notified: int
    taken: int

    @property
    def is_settled(self) -> bool:
        """Every order has come to its end, and everyone has heard of it."""
        notified = self.ready * STATUSES_TO_READY + self.rejected * STATUSES_TO_REJECTED
        return self.ready + self.rejected == self.orders and self.notified == notified


def moment() -> UUID:
    """No id made from now on sorts before it."""
    return UUID(int=int(time() * 1000) << 80)


async def at_rest(admin: asyncpg.Connection, *, within_s: float) -> None:
    """Wait until nothing moves any more and the newest orders are at their end, by looks that cost little; or give up."""
    deadline, before = monotonic() + within_s, None
    while monotonic() < deadline:
        [row] = await admin.fetch(_UNDER_WAY)
        is_quiet = row["orders"] == 0 and row["position"] == before
        if is_quiet and not await admin.fetchval(_NEWEST_UNDER_WAY):
            return
        before = row["position"]
        await asyncio.sleep(POLL_S)


async def read(admin: asyncpg.Connection, *, since: UUID) -> Books:
    [row] = await admin.fetch(_COUNTS, since)
    return Books(**dict(row))


async def find_errors(
    admin: asyncpg.Connection, books: Books, *, accepted: int, unanswered: int
) -> list[str]:
    """A sentence for whatever is wrong. Up to `unanswered` orders may exist whose answer the generator cut off."""
    errors = []
    if not books.is_settled:
        errors.append(f"not everything was carried in time: {books}")
    if books.tickets != books.ready:
        errors.append(f"{books.ready} orders are READY and {books.tickets} tickets")
    if not accepted <= books.ready <= accepted + unanswered:
        errors.append(f"{accepted} orders were accepted and {books.ready} are READY")
    if books.taken != books.ready:
        errors.append(f"{books.taken} portions left the store for {books.ready} orders")
    if wrong := await admin.fetchval(_WRONG_ITEMS):
        errors.append(f"the ledger of {wrong} items does not add up")
    return errors
