"""SQL of event streams: the statuses in a replay window, and the place of an event id."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.notification.domain import BEGINNING, LoggedStatus, LogPlace, ReplayWindow, place_of
from cafeteria.notification.repository.log import COLUMNS, STUDENT_AND_POSITION, to_logged
from cafeteria.notification.tables import NotificationRow

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
    shown.sent_at, shown.reason, shown.pickup_number, shown.pickup_code, shown.delivered_at IS NOT NULL AS is_delivered
FROM live CROSS JOIN LATERAL (
    SELECT * FROM notification.notifications AS logged WHERE logged.order_id = live.order_id OFFSET 0
) AS shown
WHERE shown.student_id = :student_id AND shown.position > :after AND shown.position <= :upto
ORDER BY shown.position LIMIT :limit
""")
"""A status is logged after the order entered it, so the backward scan ends at the student's first old row. The lateral
subquery finds each order by its index, however many orders the planner expects."""

_ORDER = Statement("""
WITH own AS MATERIALIZED (
    SELECT position, order_id, student_id, status_sent, version, status_at, sent_at, reason,
        pickup_number, pickup_code, delivered_at IS NOT NULL AS is_delivered
    FROM notification.notifications WHERE order_id = :order_id
)
SELECT * FROM own WHERE student_id = :student_id AND position > :after AND position <= :upto
ORDER BY position LIMIT :limit
""")

_LOGGED_AT = Statement("SELECT sent_at FROM notification.notifications WHERE position = :position")


async def read_window(connection: AsyncConnection, window: ReplayWindow, *, limit: int) -> list[LoggedStatus]:
    """Return the window's next statuses by position, at most `limit`."""
    viewer = window.viewer
    span = {"student_id": viewer.student_id, "after": window.after, "upto": window.upto, "limit": limit}
    if viewer.order_id is not None:
        rows: Any = await _ORDER.rows(connection, {**span, "order_id": viewer.order_id})
    elif window.live_since is not None:
        rows = await _LIVE.rows(connection, {**span, "since": window.live_since})
    else:
        query = select(*COLUMNS).where(
            (viewer.student_id, window.after) < STUDENT_AND_POSITION,
            (viewer.student_id, window.upto) >= STUDENT_AND_POSITION,
        )
        by_position = query.order_by(NotificationRow.student_id, NotificationRow.position)
        rows = await connection.execute(by_position.limit(limit))
    return [to_logged(row) for row in rows]


async def read_place(connection: AsyncConnection, position: int) -> LogPlace | None:
    """Return None if nothing is logged under that position."""
    if position == BEGINNING.position:
        return BEGINNING
    rows = await _LOGGED_AT.rows(connection, {"position": position})
    return place_of(position, rows[0].sent_at) if rows else None
