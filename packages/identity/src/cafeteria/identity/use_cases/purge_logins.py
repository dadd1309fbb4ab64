"""Purge logins: delete the refresh tokens of expired and idle sessions, and ended login windows. The login audit is kept."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.clock import now
from cafeteria.identity.repository import purge_logins

BATCH_ROWS = 1000  # short transactions: a login never waits for a purge

_log = get_logger()


class PurgeLogins:
    """`window` is the length of a login window; a session ends when it was not refreshed for `session_idle`."""

    def __init__(self, database: Database, *, window: timedelta, session_idle: timedelta) -> None:
        self._database = database
        self._window = window
        self._session_idle = session_idle

    async def run(self) -> None:
        """Delete everything that has ended, a batch at a time."""
        at = now()
        tokens = await self._delete_in_batches(
            lambda connection: purge_logins.delete_expired_tokens(connection, now=at, limit=BATCH_ROWS)
        )
        unused_since = at - self._session_idle
        tokens += await self._delete_in_batches(
            lambda connection: purge_logins.delete_idle_tokens(
                connection, now=at, unused_since=unused_since, limit=BATCH_ROWS
            )
        )
        ended = at - self._window
        windows = await self._delete_in_batches(
            lambda connection: purge_logins.delete_ended_windows(connection, ended=ended, limit=BATCH_ROWS)
        )
        _log.info("logins_purged", refresh_tokens=tokens, login_windows=windows)

    async def _delete_in_batches(self, delete: Callable[[AsyncConnection], Awaitable[int]]) -> int:
        total, deleted = 0, BATCH_ROWS
        while deleted == BATCH_ROWS:
            async with self._database.statement() as connection:
                deleted = await delete(connection)
            total += deleted
        return total
