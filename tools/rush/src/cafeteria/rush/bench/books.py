"""Whether a round did its work: fast and wrong is not fast. Everything is counted in the tables once all is carried."""

import asyncio
from time import monotonic

import asyncpg
import msgspec

POLL_S = 0.2

_COUNTS = """
SELECT (SELECT count(*) FROM gateway.orders) AS orders,
    (SELECT count(*) FROM gateway.orders WHERE status = 'READY') AS ready,
    (SELECT count(*) FROM gateway.orders WHERE status = 'REJECTED') AS rejected,
    (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'READY') AS tickets,
    (SELECT count(*) FROM notification.notifications) AS notified,
    (SELECT count(*) FROM gateway.outbox) + (SELECT count(*) FROM kitchen.outbox) AS unsent
"""

_LEDGER = """
SELECT coalesce(sum(taken.portions), 0) AS taken, count(*) FILTER (WHERE came_in - quantity <> coalesce(portions, 0)) AS wrong
FROM stock.inventory
JOIN (SELECT item_id, sum(quantity) AS came_in FROM stock.restocks GROUP BY item_id) AS restocked USING (item_id)
LEFT JOIN (SELECT item_id, sum(quantity_deducted) AS portions FROM stock.stock_transactions GROUP BY item_id) AS taken
    USING (item_id)
"""


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are of everything."""

    orders: int
    ready: int
    rejected: int
    tickets: int
    notified: int
    unsent: int

    @property
    def is_settled(self) -> bool:
        """Every order has come to its end, and everyone has heard of it."""
        notified = self.ready * STATUSES_TO_READY + self.rejected * STATUSES_TO_REJECTED
        return self.ready + self.rejected == self.orders and self.unsent == 0 and self.notified == notified


STATUSES_TO_READY = 4
STATUSES_TO_REJECTED = 2


async def read(admin: asyncpg.Connection) -> Books:
    [row] = await admin.fetch(_COUNTS)
    return Books(**dict(row))


async def settled(admin: asyncpg.Connection, *, within_s: float) -> Books:
    """Wait until all is carried, or give up: `is_settled` says which."""
    deadline = monotonic() + within_s
    while not (books := await read(admin)).is_settled and monotonic() < deadline:  # noqa: ASYNC110 - what is waited for stands in tables
        await asyncio.sleep(POLL_S)
    return books


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
    [ledger] = await admin.fetch(_LEDGER)
    if ledger["wrong"] or ledger["taken"] != books.ready:
        errors.append(
            f"{ledger['taken']} portions left the store for {books.ready} orders, {ledger['wrong']} items do not add up"
        )
    return errors
