"""Read the log: the counter of its positions, and its rows as values."""

from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.contracts.values import OrderStatus, Pickup, RejectionReason
from cafeteria.notification.domain import LoggedStatus, Mark
from cafeteria.notification.tables import NotificationRow, PositionCounterRow

READ_COUNTER = select(
    PositionCounterRow.position, PositionCounterRow.stream_epoch, PositionCounterRow.stream_sequence
)

COLUMNS = (
    NotificationRow.position,
    NotificationRow.order_id,
    NotificationRow.student_id,
    NotificationRow.status_sent,
    NotificationRow.version,
    NotificationRow.status_at,
    NotificationRow.sent_at,
    NotificationRow.reason,
    NotificationRow.pickup_number,
    NotificationRow.pickup_code,
    NotificationRow.delivered_at.is_not(None).label("is_delivered"),
)

STUDENT_AND_POSITION = tuple_(NotificationRow.student_id, NotificationRow.position)
"""Compared as a pair, so that only the index over both serves, and never the one over the positions of all students."""


async def read_counter(connection: AsyncConnection) -> Mark:
    """Return the committed counter; a transaction may be moving it."""
    row = (await connection.execute(READ_COUNTER)).one_or_none()
    return Mark(position=0, stream_epoch="", stream_sequence=0) if row is None else to_mark(row)


def to_mark(row: Any) -> Mark:
    return Mark(position=row.position, stream_epoch=row.stream_epoch, stream_sequence=row.stream_sequence)


def to_logged(row: Any) -> LoggedStatus:
    return LoggedStatus(
        position=row.position,
        logged_at=row.sent_at,
        order_id=row.order_id,
        student_id=row.student_id,
        status=OrderStatus(row.status_sent),
        version=row.version,
        at=row.status_at,
        reason=None if row.reason is None else RejectionReason(row.reason),
        pickup=None if row.pickup_number is None else Pickup(number=row.pickup_number, code=row.pickup_code),
        is_delivered=row.is_delivered,
    )
