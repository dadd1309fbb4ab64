"""SQL of the pace: the counts, the intake and the marks of the queue in one statement; and what people cooked lately.

It reads the index of the queue, and the rows of MAX_QUEUE_MARKS tickets at most. READY tickets grow without end where nobody
collects, so they are counted only now and then.
"""

from collections.abc import Sequence
from itertools import accumulate
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.kitchen import MAX_QUEUE_MARKS, Intake, QueueMark
from cafeteria.kitchen.repository.change_intake import INTAKE, to_intake
from cafeteria.kitchen.throughput import Cooked


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The kitchen at one moment. `ready` is None where it was not counted."""

    queued: int
    in_kitchen: int
    ready: int | None
    queue: tuple[QueueMark, ...]
    intake: Intake


# A mark's row is looked up by its id alone: a join might read the whole table. A ticket whose path has no such step has
# the time of its arrival. Where the kitchen cooks by itself the index of the stations holds what cooks now, and few old entries.
_SCENE = Statement(f"""
WITH waiting AS MATERIALIZED (
    SELECT count(*) AS queued FROM kitchen.kitchen_orders WHERE status = 'QUEUED'
), marks AS (
    SELECT ahead, (
        SELECT coalesce(CAST(jsonb_path_query_first(status_times, '$[*] ? (@.status == "STOCK_VERIFIED").at') #>> '{{}}'
            AS timestamptz), received_at)
        FROM kitchen.kitchen_orders WHERE id = queue.id
    ) AS verified_at
    FROM (
        SELECT id, row_number() OVER (ORDER BY id) - 1 AS ahead FROM kitchen.kitchen_orders WHERE status = 'QUEUED'
    ) AS queue
    WHERE mod(ahead, (SELECT greatest(1, (queued + {MAX_QUEUE_MARKS} - 1) / {MAX_QUEUE_MARKS}) FROM waiting)) = 0
)
SELECT counted.*, intake.*, marks.ahead, marks.verified_at FROM (
    SELECT (SELECT queued FROM waiting) AS queued,
           CASE WHEN CAST(:have_stations AS boolean)
               THEN (SELECT count(*) FROM kitchen.kitchen_orders WHERE station BETWEEN 1 AND 32767)
               ELSE (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'IN_KITCHEN') END AS in_kitchen,
           CASE WHEN CAST(:ready_since AS uuid) IS NOT NULL THEN (
               SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'READY' AND id >= CAST(:ready_since AS uuid)
           ) END AS ready
) AS counted LEFT JOIN ({INTAKE}) AS intake ON true LEFT JOIN marks ON true ORDER BY marks.ahead
""")  # noqa: S608 - put together from constants


async def read_scene(connection: AsyncConnection, *, have_stations: bool, ready_since: UUID | None) -> Scene:
    """Return the counts and marks of this moment; READY tickets are counted from `ready_since` on, if it is given.

    `have_stations` is whether all that cooks has a station.
    """
    rows = await _SCENE.rows(connection, {"have_stations": have_stations, "ready_since": ready_since})
    marked = [row for row in rows if row.ahead is not None]
    rising = accumulate((row.verified_at for row in marked), max)
    return Scene(
        queued=rows[0].queued,
        in_kitchen=rows[0].in_kitchen,
        ready=rows[0].ready,
        queue=tuple(
            QueueMark(verified_at=at, ahead=row.ahead) for at, row in zip(rising, marked, strict=True)
        ),
        intake=to_intake(rows[0]),
    )


# The history's ids are made when a state is entered, so its newest rows are the newest changes.
_COOKED = Statement("""
SELECT ticket.started_at, ticket.completed_at FROM (
    SELECT id, kitchen_order_id FROM kitchen.order_status_history
    WHERE id >= CAST(:since AS uuid) AND status = 'READY' ORDER BY id DESC LIMIT CAST(:limit AS integer)
) AS finished JOIN kitchen.kitchen_orders AS ticket ON ticket.id = finished.kitchen_order_id
ORDER BY finished.id DESC
""")


async def read_cooked(connection: AsyncConnection, *, since: UUID, limit: int) -> Sequence[Cooked]:
    """Return the tickets that were finished last, the newest first."""
    rows = await _COOKED.rows(connection, {"since": since, "limit": limit})
    return [Cooked(started_at=row.started_at, completed_at=row.completed_at) for row in rows]
