"""SQL of the boards: one statement, so that tickets, totals and counts are of the same moment."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Row, Statement
from cafeteria.contracts.kitchen import BoardTotal, Ticket, TicketStatus
from cafeteria.kitchen.pickup import NUMBERS
from cafeteria.kitchen.repository.count_load import COUNTS
from cafeteria.kitchen.repository.rows import TICKET_VIEW, to_view

QUEUED_SHOWN, IN_KITCHEN_SHOWN, READY_SHOWN = 60, 100, 100
NUMBERS_SHOWN = 200

_decode_totals = msgspec.json.Decoder(tuple[BoardTotal, ...]).decode


class BoardContent(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest tickets of each state, and what all tickets together come to."""

    counts: dict[str, int]
    totals: tuple[BoardTotal, ...]
    tickets: dict[TicketStatus, tuple[Ticket, ...]]


def _oldest(status: str, limit: int, *, condition: str = "true") -> str:
    return f"""(SELECT {TICKET_VIEW} FROM kitchen.kitchen_orders
        WHERE status = '{status}' AND {condition} ORDER BY id LIMIT {limit})"""  # noqa: S608 - put together from constants


_BOARD = Statement(f"""
WITH ticket AS (
    {_oldest("QUEUED", QUEUED_SHOWN)}
    UNION ALL {_oldest("IN_KITCHEN", IN_KITCHEN_SHOWN)}
    UNION ALL {_oldest("READY", READY_SHOWN, condition="id >= CAST(:ready_since AS uuid)")}
), total AS (
    SELECT line->>'item_id' AS item_id, max(line->>'name') AS name,
        coalesce(sum(CAST(line->>'quantity' AS integer)) FILTER (WHERE status = 'QUEUED'), 0) AS queued,
        coalesce(sum(CAST(line->>'quantity' AS integer)) FILTER (WHERE status = 'IN_KITCHEN'), 0) AS in_kitchen
    FROM kitchen.kitchen_orders CROSS JOIN LATERAL jsonb_array_elements(lines) AS line
    WHERE status IN ('QUEUED', 'IN_KITCHEN') GROUP BY 1
), summary AS (
    SELECT (SELECT CAST(coalesce(json_agg(total ORDER BY name, item_id), '[]') AS text) FROM total) AS totals,
        counts.* FROM ({COUNTS}) AS counts
)
SELECT CASE WHEN row_number() OVER (ORDER BY ticket.id) = 1 THEN summary.totals END AS totals,
    summary.queued, summary.in_kitchen, summary.ready, ticket.*
FROM summary LEFT JOIN ticket ON true
ORDER BY ticket.id
""")  # noqa: S608 - put together from constants


_SUMMARY = ("totals", "queued", "in_kitchen", "ready")


async def read_board(connection: AsyncConnection, *, ready_since: UUID) -> BoardContent:
    """Return the content of the kitchen's screens; of READY tickets those from `ready_since` on."""
    rows = await _BOARD.rows(connection, {"ready_since": ready_since})
    summary = {name: rows[0][name] for name in _SUMMARY}
    tickets = [
        to_view({name: value for name, value in row.items() if name not in summary})
        for row in rows
        if row.id is not None
    ]
    return BoardContent(
        totals=_decode_totals(summary.pop("totals")),
        counts=summary,
        tickets={
            status: tuple(ticket for ticket in tickets if ticket.status is status) for status in TicketStatus
        },
    )


_NUMBERS = Statement(f"""
(SELECT status, number % {NUMBERS} AS number, completed_at, id FROM kitchen.kitchen_orders
 WHERE status = 'READY' AND id >= CAST(:ready_since AS uuid) ORDER BY id DESC LIMIT {NUMBERS_SHOWN})
UNION ALL
(SELECT status, number % {NUMBERS}, NULL, id FROM kitchen.kitchen_orders
 WHERE status = 'IN_KITCHEN' ORDER BY id LIMIT {NUMBERS_SHOWN})
UNION ALL
SELECT 'QUEUED', count(*), NULL, NULL FROM kitchen.kitchen_orders WHERE status = 'QUEUED'
ORDER BY id
""")  # noqa: S608 - put together from constants


class HallNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers that are called up, each since when, the latest first; those that cook; how many wait."""

    ready: tuple[tuple[int, datetime], ...]
    cooking: tuple[int, ...]
    waiting: int


async def read_numbers(connection: AsyncConnection, *, ready_since: UUID) -> HallNumbers:
    """Return what the hall may read; nothing else is read."""
    rows = await _NUMBERS.rows(connection, {"ready_since": ready_since})
    ready = [(row.number, row.completed_at) for row in _of(rows, "READY")]
    return HallNumbers(
        ready=tuple(sorted(ready, key=lambda each: each[1], reverse=True)),
        cooking=tuple(row.number for row in _of(rows, "IN_KITCHEN")),
        waiting=_of(rows, "QUEUED")[0].number,
    )


def _of(rows: list[Row], status: str) -> list[Any]:
    return [row for row in rows if row.status == status]
