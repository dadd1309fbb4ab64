"""SQL of recording: the log, its open orders and its counter.

Every writer of the log moves the counter row, so there is one writer at a time.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.notification.domain import CLOSED_STATUSES, LoggedStatus, Mark, Status
from cafeteria.notification.repository.log import COLUMNS, READ_COUNTER, to_logged, to_mark
from cafeteria.notification.tables import NotificationRow

_LOCK_COUNTER = READ_COUNTER.with_for_update()

_ADD_COUNTER = Statement(
    "INSERT INTO notification.position_counter VALUES (1, 0, '', 0) ON CONFLICT DO NOTHING"
)

_FOLLOW = Statement("""
UPDATE notification.position_counter SET stream_epoch = :epoch, stream_sequence = :sequence
""")

_RECORD = Statement("""
WITH statuses AS (
    SELECT * FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:student_ids AS text[]), CAST(:statuses AS text[]),
        CAST(:versions AS smallint[]), CAST(:ats AS timestamptz[]), CAST(:reasons AS text[]),
        CAST(:pickup_numbers AS smallint[]), CAST(:pickup_codes AS text[])
    ) WITH ORDINALITY AS status (
        order_id, student_id, status, version, at, reason, pickup_number, pickup_code, place)
), unlogged AS (
    SELECT status.*, row_number() OVER (ORDER BY status.place) AS number
    FROM statuses AS status
    WHERE (
        SELECT logged.id FROM notification.notifications AS logged
        WHERE logged.order_id = status.order_id AND logged.version = status.version
    ) IS NULL
), updated AS (
    UPDATE notification.position_counter SET
        position = position + (SELECT count(*) FROM unlogged),
        stream_sequence = CASE WHEN stream_epoch = :epoch THEN greatest(stream_sequence, :sequence)
            ELSE stream_sequence END
    WHERE position = :position
    RETURNING id
), inserted AS (
    INSERT INTO notification.notifications
        (id, order_id, student_id, status_sent, sent_at, version, position, status_at, reason,
         pickup_number, pickup_code)
    SELECT uuidv7(), order_id, student_id, status, :now, version, :position + number, at, reason,
        pickup_number, pickup_code
    FROM unlogged CROSS JOIN updated
    RETURNING order_id, student_id, status_sent, version
), newest AS (
    SELECT DISTINCT ON (order_id) order_id, student_id, version, status_sent = ANY(:closed) AS is_closed
    FROM inserted ORDER BY order_id, version DESC
), opened AS (
    INSERT INTO notification.open_orders (order_id, student_id)
    SELECT order_id, student_id FROM newest
    WHERE NOT is_closed AND (
        SELECT logged.id FROM notification.notifications AS logged
        WHERE logged.order_id = newest.order_id AND logged.version > newest.version LIMIT 1
    ) IS NULL
    ON CONFLICT (order_id) DO NOTHING
), closed AS (
    DELETE FROM notification.open_orders WHERE ctid = ANY(ARRAY(
        SELECT (SELECT ctid FROM notification.open_orders WHERE open_orders.order_id = newest.order_id)
        FROM newest WHERE is_closed
    ))
)
SELECT ARRAY(SELECT place FROM statuses EXCEPT SELECT place FROM unlogged) AS logged FROM updated
""")
"""One statement, because it is a transaction by itself. It writes nothing unless the counter is at `position`: then no
other writer has committed since, the snapshot holds everything that is logged, and a missing row can be inserted
without a conflict; ON CONFLICT would cost a tenth of the statement. A writer that commits meanwhile moves the counter,
and Postgres checks the condition again after it has waited for the row.

Look-ups are scalar subqueries: the planner cannot turn those into a join over the whole table, which it prefers while
a young table has no statistics."""


class CounterMoved(Exception):
    """Another writer has moved the counter."""


async def lock_counter(connection: AsyncConnection) -> Mark:
    """Lock the counter: every other writer of the log waits for the end of this transaction."""
    row = (await connection.execute(_LOCK_COUNTER)).one_or_none()
    if row is None:
        await _ADD_COUNTER.rows(connection, {})
        row = (await connection.execute(_LOCK_COUNTER)).one()
    return to_mark(row)


async def follow_stream(connection: AsyncConnection, *, epoch: str, sequence: int) -> None:
    """Let only batches of this epoch move the sequence. Needs the counter's lock."""
    await _FOLLOW.rows(connection, {"epoch": epoch, "sequence": sequence})


async def record(
    connection: AsyncConnection,
    statuses: Sequence[Status],
    *,
    position: int,
    epoch: str,
    sequence: int,
    now: datetime,
) -> list[LoggedStatus]:
    """Log the statuses that the log lacks, in their order, and return them. No order and version may be there twice.

    `position` is the counter's. Raises CounterMoved, having written nothing, if the counter has another one, which can
    only be without its lock.
    """
    parameters = {
        "position": position,
        "order_ids": [status.order_id for status in statuses],
        "student_ids": [status.student_id for status in statuses],
        "statuses": [status.status for status in statuses],
        "versions": [status.version for status in statuses],
        "ats": [status.at for status in statuses],
        "reasons": [status.reason for status in statuses],
        "pickup_numbers": [status.pickup and status.pickup.number for status in statuses],
        "pickup_codes": [status.pickup and status.pickup.code for status in statuses],
        "closed": list(CLOSED_STATUSES),
        "epoch": epoch,
        "sequence": sequence,
        "now": now,
    }
    try:
        rows = await _RECORD.rows(connection, parameters)
    except asyncpg.UniqueViolationError as error:
        raise CounterMoved from error
    if not rows:
        raise CounterMoved
    logged = set(rows[0].logged)
    added = [status for place, status in enumerate(statuses, start=1) if place not in logged]
    return [_newly_logged(at, status, now) for at, status in enumerate(added, start=position + 1)]


def _newly_logged(position: int, status: Status, logged_at: datetime) -> LoggedStatus:
    return LoggedStatus(
        position=position,
        logged_at=logged_at,
        order_id=status.order_id,
        student_id=status.student_id,
        status=status.status,
        version=status.version,
        at=status.at,
        reason=status.reason,
        pickup=status.pickup,
    )


async def read_log(connection: AsyncConnection, *, after: int, limit: int) -> list[LoggedStatus]:
    """Return the statuses of all students above `after`, by position."""
    query = select(*COLUMNS).where(NotificationRow.position > after)
    rows = await connection.execute(query.order_by(NotificationRow.position).limit(limit))
    return [to_logged(row) for row in rows]
