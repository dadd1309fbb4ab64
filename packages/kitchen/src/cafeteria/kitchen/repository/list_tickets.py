"""SQL of the list of tickets, and of one ticket as the HTTP interface shows it."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.kitchen import Ticket, TicketStatus
from cafeteria.kitchen.repository.rows import to_view

_PAGE = """
SELECT id, order_id, student_id, status, version, CAST(lines AS text) AS lines, received_at, started_at, due_at, completed_at,
       collected_at, quoted_to
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


async def read_ticket(connection: AsyncConnection, ticket_id: UUID) -> Ticket:
    [row] = await _READ.rows(connection, {"id": ticket_id})
    return to_view(row)


async def read_page(
    connection: AsyncConnection, *, status: TicketStatus | None, after: UUID | None, limit: int
) -> list[Ticket]:
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
