"""List notifications: a student's part of the delivery log, a page at a time."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.cursors import page_of
from cafeteria.contracts.notification import Notifications
from cafeteria.notification.domain import position_from_cursor
from cafeteria.notification.repository import list_notifications


class ListNotifications:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, student_id: str, *, cursor: str | None, limit: int) -> Notifications:
        """Return a page, newest first. Raises UnknownCursor."""
        before = position_from_cursor(cursor)
        async with self._database.statement() as connection:
            found = await list_notifications.read_page(connection, student_id, before=before, limit=limit + 1)
        page, next_cursor = page_of(found, limit=limit, cursor_of=lambda row: str(row[0]))
        return Notifications(items=tuple(notification for _, notification in page), next_cursor=next_cursor)
