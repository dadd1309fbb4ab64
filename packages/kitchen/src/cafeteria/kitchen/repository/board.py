"""Reads of tickets for people and other services; nothing here changes a row."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts import kitchen
from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.kitchen.repository.rows import to_view

_KNOWN = Statement("""
SELECT order_id FROM kitchen.kitchen_orders WHERE order_id = ANY(CAST(:order_ids AS uuid[]))
""")


async def read_known(connection: AsyncConnection, order_ids: Sequence[UUID]) -> set[UUID]:
    return {row.order_id for row in await _KNOWN.rows(connection, {"order_ids": list(order_ids)})}


_LOAD = Statement("""
SELECT (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'QUEUED') AS queued,
       (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'IN_KITCHEN') AS in_kitchen,
       (SELECT count(*) FROM kitchen.kitchen_orders
        WHERE status = 'READY' AND id >= CAST(:ready_since AS uuid)) AS ready
""")


async def count_load(connection: AsyncConnection, *, stations: int | None, ready_since: UUID) -> kitchen.Load:
    """Count the tickets of each state; of READY only those from `ready_since` on.

    Where nobody collects, READY tickets grow without end.
    """
    [counted] = await _LOAD.rows(connection, {"ready_since": ready_since})
    return kitchen.Load(**counted, stations=stations)


_PAGE = """
SELECT id, order_id, student_id, status, version, CAST(lines AS text) AS lines, received_at, started_at, due_at, completed_at,
       collected_at
FROM kitchen.kitchen_orders
"""
_READ = Statement(f"{_PAGE} WHERE id = CAST(:id AS uuid)")
_OLDEST_FIRST = Statement(
    f"""{_PAGE} WHERE status = :status AND id > CAST(:after AS uuid) ORDER BY id LIMIT :limit"""
)
_NEWEST_FIRST = Statement(
    f"""{_PAGE} WHERE status = :status AND id < CAST(:after AS uuid) ORDER BY id DESC LIMIT :limit"""
)
_ALL_NEWEST_FIRST = Statement(f"""{_PAGE} WHERE id < CAST(:after AS uuid) ORDER BY id DESC LIMIT :limit""")

_FIRST_ID, _LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
_OPEN = frozenset({TicketStatus.QUEUED, TicketStatus.IN_KITCHEN})


async def read_ticket(connection: AsyncConnection, ticket_id: UUID) -> kitchen.Ticket:
    [row] = await _READ.rows(connection, {"id": ticket_id})
    return to_view(row)


async def read_page(
    connection: AsyncConnection, *, status: TicketStatus | None, after: UUID | None, limit: int
) -> list[kitchen.Ticket]:
    """Return a page: QUEUED and IN_KITCHEN oldest first, as they are cooked; other states, or all, newest first."""
    is_oldest_first = status in _OPEN
    statement = _OLDEST_FIRST if is_oldest_first else _NEWEST_FIRST if status else _ALL_NEWEST_FIRST
    parameters: dict[str, Any] = {
        "after": after or (_FIRST_ID if is_oldest_first else _LAST_ID),
        "limit": limit,
    }
    if status:
        parameters["status"] = status.value
    rows = await statement.rows(connection, parameters)
    return [to_view(row) for row in rows]
