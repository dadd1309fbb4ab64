"""All SQL of notification. Whoever writes the log moves the counter row, so the log has one writer at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.notification import Notification
from cafeteria.contracts.values import OrderStatus, OrderVersion, RejectionReason
from cafeteria.notification.domain import (
    BEGINNING,
    RESTING_STATUSES,
    Backlog,
    LoggedStatus,
    LogPlace,
    Mark,
    Status,
    place_of,
)
from cafeteria.notification.tables import NotificationRow, PositionCounterRow

_READ_COUNTER = select(
    PositionCounterRow.position, PositionCounterRow.stream_epoch, PositionCounterRow.stream_sequence
)
_LOCK_COUNTER = _READ_COUNTER.with_for_update()

_ADD_COUNTER = Statement(
    "INSERT INTO notification.position_counter VALUES (1, 0, '', 0) ON CONFLICT DO NOTHING"
)

_FOLLOW = Statement("""
UPDATE notification.position_counter SET stream_epoch = :epoch, stream_sequence = :sequence
""")

_RECORD = Statement("""
WITH given AS (
    SELECT * FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:student_ids AS text[]), CAST(:statuses AS text[]),
        CAST(:versions AS smallint[]), CAST(:ats AS timestamptz[]), CAST(:reasons AS text[])
    ) WITH ORDINALITY AS given (order_id, student_id, status, version, at, reason, place)
), fresh AS (
    SELECT given.*, row_number() OVER (ORDER BY given.place) AS number
    FROM given
    WHERE (
        SELECT logged.id FROM notification.notifications AS logged
        WHERE logged.order_id = given.order_id AND logged.version = given.version
    ) IS NULL
), moved AS (
    UPDATE notification.position_counter SET
        position = position + (SELECT count(*) FROM fresh),
        stream_sequence = CASE WHEN stream_epoch = :epoch THEN greatest(stream_sequence, :sequence)
            ELSE stream_sequence END
    WHERE position = :position
    RETURNING id
), added AS (
    INSERT INTO notification.notifications
        (id, order_id, student_id, status_sent, sent_at, version, position, status_at, reason)
    SELECT uuidv7(), order_id, student_id, status, :now, version, :position + number, at, reason
    FROM fresh CROSS JOIN moved
    RETURNING order_id, student_id, status_sent, version
), newest AS (
    SELECT DISTINCT ON (order_id) order_id, student_id, version, status_sent = ANY(:resting) AS is_resting
    FROM added ORDER BY order_id, version DESC
), opened AS (
    INSERT INTO notification.open_orders (order_id, student_id)
    SELECT order_id, student_id FROM newest
    WHERE NOT is_resting AND (
        SELECT logged.id FROM notification.notifications AS logged
        WHERE logged.order_id = newest.order_id AND logged.version > newest.version LIMIT 1
    ) IS NULL
    ON CONFLICT (order_id) DO NOTHING
), closed AS (
    DELETE FROM notification.open_orders WHERE ctid = ANY(ARRAY(
        SELECT (SELECT ctid FROM notification.open_orders WHERE open_orders.order_id = newest.order_id)
        FROM newest WHERE is_resting
    ))
)
SELECT ARRAY(SELECT place FROM given EXCEPT SELECT place FROM fresh) AS known FROM moved
""")
"""One statement, for it is a transaction by itself. It writes nothing unless the counter stands where the caller
believes: then no other writer has committed since, the snapshot holds all that is logged, and a row that is not
there can be added without a conflict: ON CONFLICT would cost a tenth of the statement for nothing. A writer that
commits meanwhile moves the counter, and the condition, which Postgres checks anew after waiting for the row, fails.

Lookups stand as scalar subqueries: the planner cannot turn those into a join over the whole table, which it likes
while a young table has no statistics."""

_COLUMNS = (
    NotificationRow.position,
    NotificationRow.order_id,
    NotificationRow.student_id,
    NotificationRow.status_sent,
    NotificationRow.version,
    NotificationRow.status_at,
    NotificationRow.sent_at,
    NotificationRow.reason,
    NotificationRow.delivered_at.is_not(None).label("is_delivered"),
)

_LIVE = Statement("""
WITH live AS MATERIALIZED (
    SELECT order_id FROM notification.open_orders WHERE student_id = :student_id
    UNION
    SELECT order_id FROM notification.notifications
    WHERE student_id = :student_id AND (student_id, position) > (:student_id, coalesce((
        SELECT position FROM notification.notifications
        WHERE (student_id, position) > (:student_id, 0) AND (student_id, position) <= (:student_id, :upto)
            AND sent_at <= :since
        ORDER BY student_id DESC, position DESC LIMIT 1
    ), 0)) AND (student_id, position) <= (:student_id, :upto) AND status_at > :since
)
SELECT shown.position, shown.order_id, shown.student_id, shown.status_sent, shown.version, shown.status_at,
    shown.sent_at, shown.reason, shown.delivered_at IS NOT NULL AS is_delivered
FROM live CROSS JOIN LATERAL (
    SELECT * FROM notification.notifications AS logged WHERE logged.order_id = live.order_id OFFSET 0
) AS shown
WHERE shown.student_id = :student_id AND shown.position > :after AND shown.position <= :upto
ORDER BY shown.position LIMIT :limit
""")
"""A status is logged after it was entered, so the backwards walk ends at the student's first old row. The lateral
subquery looks each order up by its own index, whatever the planner thinks of how many there are."""

_ORDER = Statement("""
WITH own AS MATERIALIZED (
    SELECT position, order_id, student_id, status_sent, version, status_at, sent_at, reason,
        delivered_at IS NOT NULL AS is_delivered
    FROM notification.notifications WHERE order_id = :order_id
)
SELECT * FROM own WHERE student_id = :student_id AND position > :after AND position <= :upto
ORDER BY position LIMIT :limit
""")

_PLACE = tuple_(NotificationRow.student_id, NotificationRow.position)
"""Compared as a pair, only the index over both serves: never the one over position alone, past everybody's rows."""

_LOGGED_AT = Statement("SELECT sent_at FROM notification.notifications WHERE position = :position")

_MISSING = Statement("""
SELECT place FROM unnest(CAST(:order_ids AS uuid[]), CAST(:versions AS smallint[]))
    WITH ORDINALITY AS asked (order_id, version, place)
WHERE (
    SELECT logged.id FROM notification.notifications AS logged
    WHERE logged.order_id = asked.order_id AND logged.version = asked.version
) IS NULL
""")

_MARK_DELIVERED = Statement("""
UPDATE notification.notifications SET delivered_at = :now WHERE ctid = ANY(ARRAY(
    SELECT undelivered.row FROM unnest(CAST(:positions AS bigint[])) AS taken (position)
    CROSS JOIN LATERAL (
        SELECT logged.ctid AS row FROM notification.notifications AS logged
        WHERE logged.position = taken.position AND logged.delivered_at IS NULL FOR UPDATE SKIP LOCKED
    ) AS undelivered
))
""")
"""What another replica is marking at this moment needs no second mark."""


class CounterMoved(Exception):
    """Another writer was faster."""


async def lock_counter(connection: AsyncConnection) -> Mark:
    """Everybody else who writes the log now waits for this transaction's end."""
    row = (await connection.execute(_LOCK_COUNTER)).one_or_none()
    if row is None:
        await _ADD_COUNTER.rows(connection, {})
        row = (await connection.execute(_LOCK_COUNTER)).one()
    return _mark(row)


async def read_counter(connection: AsyncConnection) -> Mark:
    """As it is committed; somebody may be moving it."""
    row = (await connection.execute(_READ_COUNTER)).one_or_none()
    return Mark(position=0, stream_epoch="", stream_sequence=0) if row is None else _mark(row)


def _mark(row: Any) -> Mark:
    return Mark(position=row.position, stream_epoch=row.stream_epoch, stream_sequence=row.stream_sequence)


async def follow_stream(connection: AsyncConnection, *, epoch: str, sequence: int) -> None:
    """From now on only batches of this epoch move the sequence. Needs the counter's lock."""
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
    """Log what the log lacks, in the order given, no pair of order and version twice; returns what was new.

    `position` is where the counter stands. Raises CounterMoved, and nothing is written, when it does not: who does
    not hold its lock may be late.
    """
    parameters = {
        "position": position,
        "order_ids": [status.order_id for status in statuses],
        "student_ids": [status.student_id for status in statuses],
        "statuses": [status.status for status in statuses],
        "versions": [status.version for status in statuses],
        "ats": [status.at for status in statuses],
        "reasons": [status.reason for status in statuses],
        "resting": list(RESTING_STATUSES),
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
    known = set(rows[0].known)
    fresh = [status for place, status in enumerate(statuses, start=1) if place not in known]
    return [_newly_logged(at, status, now) for at, status in enumerate(fresh, start=position + 1)]


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
    )


async def read_log(connection: AsyncConnection, *, after: int, limit: int) -> list[LoggedStatus]:
    """Everybody's, by position."""
    query = select(*_COLUMNS).where(NotificationRow.position > after)
    rows = await connection.execute(query.order_by(NotificationRow.position).limit(limit))
    return [_logged(row) for row in rows]


async def read_backlog(connection: AsyncConnection, backlog: Backlog, *, limit: int) -> list[LoggedStatus]:
    """By position, the viewer's next statuses, at most `limit`."""
    viewer = backlog.viewer
    span = {"student_id": viewer.student_id, "after": backlog.after, "upto": backlog.upto, "limit": limit}
    if viewer.order_id is not None:
        rows: Any = await _ORDER.rows(connection, {**span, "order_id": viewer.order_id})
    elif backlog.live_since is not None:
        rows = await _LIVE.rows(connection, {**span, "since": backlog.live_since})
    else:
        query = select(*_COLUMNS).where(
            (viewer.student_id, backlog.after) < _PLACE, (viewer.student_id, backlog.upto) >= _PLACE
        )
        in_place = query.order_by(NotificationRow.student_id, NotificationRow.position)
        rows = await connection.execute(in_place.limit(limit))
    return [_logged(row) for row in rows]


async def read_place(connection: AsyncConnection, position: int) -> LogPlace | None:
    """None if nothing is logged under that position."""
    if position == BEGINNING.position:
        return BEGINNING
    rows = await _LOGGED_AT.rows(connection, {"position": position})
    return place_of(position, rows[0].sent_at) if rows else None


async def read_missing(connection: AsyncConnection, asked: Sequence[OrderVersion]) -> list[OrderVersion]:
    """Which of these the log lacks."""
    found = await _MISSING.rows(
        connection,
        {"order_ids": [each.order_id for each in asked], "versions": [each.version for each in asked]},
    )
    return [asked[place - 1] for place in sorted(row.place for row in found)]


async def read_history(
    connection: AsyncConnection, student_id: str, *, before: int, limit: int
) -> list[tuple[int, Notification]]:
    """Newest first, each with its position."""
    query = (
        select(
            NotificationRow.position,
            NotificationRow.order_id,
            NotificationRow.status_sent,
            NotificationRow.version,
            NotificationRow.sent_at,
            NotificationRow.delivered_at,
        )
        .where((student_id, before) > _PLACE, (student_id, 0) < _PLACE)
        .order_by(NotificationRow.student_id.desc(), NotificationRow.position.desc())
        .limit(limit)
    )
    return [
        (
            row.position,
            Notification(
                order_id=row.order_id,
                status=OrderStatus(row.status_sent),
                version=row.version,
                sent_at=row.sent_at,
                delivered_at=row.delivered_at,
            ),
        )
        for row in await connection.execute(query)
    ]


async def mark_delivered(connection: AsyncConnection, positions: Sequence[int], *, now: datetime) -> None:
    await _MARK_DELIVERED.rows(connection, {"positions": sorted(positions), "now": now})


def _logged(row: Any) -> LoggedStatus:
    return LoggedStatus(
        position=row.position,
        logged_at=row.sent_at,
        order_id=row.order_id,
        student_id=row.student_id,
        status=OrderStatus(row.status_sent),
        version=row.version,
        at=row.status_at,
        reason=None if row.reason is None else RejectionReason(row.reason),
        is_delivered=row.is_delivered,
    )
