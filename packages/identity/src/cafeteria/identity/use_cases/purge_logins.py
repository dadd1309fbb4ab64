"""Purge logins: delete the refresh tokens of expired and idle sessions, ended login windows, and old rows of the audit."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.clock import now
from cafeteria.identity.repository import purge_logins

BATCH_ROWS = 1000  # short transactions: a login never waits for a purge

_log = get_logger()


class PurgeLogins:
    """`window` is the length of a login window, and `audit` the age at which an audit row is deleted.

    A session ends when it was not refreshed for `session_idle`.
    """

    def __init__(
        self, database: Database, *, window: timedelta, session_idle: timedelta, audit: timedelta
    ) -> None:
        self._database = database
        self._window = window
        self._session_idle = session_idle
        self._audit = audit

    async def run(self) -> None:
        """Delete everything that has ended, a batch at a time."""
        at = now()
        ended, unused_since = at - self._window, at - self._session_idle
        tokens = await self._purge(purge_logins.delete_expired_tokens, now=at)
        tokens += await self._purge(purge_logins.delete_idle_tokens, now=at, unused_since=unused_since)
        windows = await self._purge(purge_logins.delete_ended_windows, ended=ended)
        windows += await self._purge(purge_logins.delete_ended_sender_windows, ended=ended)
        attempts = await self._purge(purge_logins.delete_old_attempts, before=at - self._audit)
        _log.info("logins_purged", refresh_tokens=tokens, login_windows=windows, login_attempts=attempts)

    async def _purge(self, delete: Callable[..., Awaitable[int]], **until: datetime) -> int:
        total, deleted = 0, BATCH_ROWS
        while deleted == BATCH_ROWS:
            async with self._database.statement() as connection:
                deleted = await delete(connection, **until, limit=BATCH_ROWS)
            total += deleted
        return total
