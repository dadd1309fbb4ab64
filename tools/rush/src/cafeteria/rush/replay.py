"""I11: delivers all of the bus's history to every consumer once more and checks that no business table changes."""

import asyncio
from collections.abc import Iterator

import asyncpg
import msgspec

from cafeteria.contracts.subjects import DURABLES, NOTIFICATION, STREAMS
from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.quiescence import unread_messages
from cafeteria.local_stack.polling import is_true_within
from cafeteria.rush.faults.servers import until_bus_is_whole

WITHIN_S = 600.0  # a campaign's whole history is hundreds of thousands of messages
POLL_S = 0.2

TABLES: dict[str, tuple[str, ...]] = {
    "gateway.orders": (),
    "gateway.idempotency_keys": (),
    "stock.items": (),
    "stock.inventory": (),
    "stock.stock_transactions": (),
    "stock.restocks": (),
    "stock.reservations": (),
    "kitchen.kitchen_orders": (),
    "kitchen.order_status_history": (),
    "notification.notifications": ("delivered_at",),
}
"""By table: columns that may change by themselves, because a device may receive an event at any time."""

Contents = dict[str, dict[str, tuple[int, int]]]
"""By table and column: the number of values, and a sum of their hashes that does not depend on the rows' order."""

_COLUMNS = """
SELECT field.key, count(*) AS rows,
    sum(hashtextextended(coalesce(row ->> 'id', row ->> 'order_id') || coalesce(field.value, ''), 0))::text AS digest
FROM {table} AS t CROSS JOIN to_jsonb(t) AS row CROSS JOIN jsonb_each_text(row) AS field GROUP BY field.key"""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    messages: int
    violations: tuple[str, ...]


async def replay_everything(cluster: Cluster) -> Replay:
    """Replay all history and compare the tables; the system must be quiescent before, and is so afterwards."""
    async with cluster.database() as connection:
        before = await contents(connection)
        messages = sum([(await cluster.bus.stream(stream.name))["messages"] for stream in STREAMS])
        await _reset_positions(cluster, connection)
        left = await _until_read(cluster, connection)
        after = await contents(connection)
    return Replay(messages=messages, violations=(*left, *differences(before, after)))


async def contents(connection: asyncpg.Connection) -> Contents:
    found: Contents = {}
    for table, beside in TABLES.items():
        rows = await connection.fetch(_COLUMNS.format(table=table))
        found[table] = {
            row["key"]: (row["rows"], int(row["digest"])) for row in rows if row["key"] not in beside
        }
    return found


def differences(before: Contents, after: Contents) -> Iterator[str]:
    """Yield a sentence for each changed column, or one for the table if its number of rows changed."""
    for table, columns in before.items():
        counts = [_rows(side[table]) for side in (before, after)]
        changed = [name for name, digest in columns.items() if after[table].get(name) != digest]
        if counts[0] != counts[1]:
            yield f"{table} had {counts[0]} rows and has {counts[1]}"
        elif changed:
            yield f"{table} has other values than before in {', '.join(sorted(changed))}"


def _rows(columns: dict[str, tuple[int, int]]) -> int:
    return max((count for count, _ in columns.values()), default=0)


async def _reset_positions(cluster: Cluster, connection: asyncpg.Connection) -> None:
    """Reset all consumers; notification is down meanwhile, because it would advance its position itself."""
    readers = cluster.processes(NOTIFICATION)
    await asyncio.gather(*(cluster.stack.stop(process) for process in readers))
    await connection.execute("UPDATE notification.position_counter SET stream_sequence = 0")
    for durable in DURABLES:
        await cluster.bus.ask(f"CONSUMER.DELETE.{durable.stream}.{durable.name}")
    await until_bus_is_whole(cluster)
    await asyncio.gather(*(cluster.stack.start(process) for process in readers))


async def _until_read(cluster: Cluster, connection: asyncpg.Connection) -> tuple[str, ...]:
    """Wait until all is read; return sentences about messages still unread after WITHIN_S."""
    left: tuple[str, ...] = ()

    async def is_read() -> bool:
        nonlocal left
        left = await unread_messages(cluster.bus, connection)
        return not left

    await is_true_within(WITHIN_S, is_read, poll_s=POLL_S)
    return left
