"""SQL of the delivery log's pages."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.contracts.notification import Notification
from cafeteria.contracts.values import OrderStatus
from cafeteria.notification.repository.log import STUDENT_AND_POSITION
from cafeteria.notification.tables import NotificationRow


async def read_page(
    connection: AsyncConnection, student_id: str, *, before: int, limit: int
) -> list[tuple[int, Notification]]:
    """Return a student's notifications below position `before`, newest first, each with its position."""
    query = (
        select(
            NotificationRow.position,
            NotificationRow.order_id,
            NotificationRow.status_sent,
            NotificationRow.version,
            NotificationRow.sent_at,
            NotificationRow.delivered_at,
        )
        .where((student_id, before) > STUDENT_AND_POSITION, (student_id, 0) < STUDENT_AND_POSITION)
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
