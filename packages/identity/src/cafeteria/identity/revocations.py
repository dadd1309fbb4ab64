"""Tells all services which sessions have ended: at once, and then every second until their access tokens have expired.

Postgres is the record, so any replica publishes the ends of all, and neither a restart nor an outage of the bus forgets one.
"""

from asyncio import Event, sleep
from collections.abc import AsyncIterator
from time import monotonic

from cafeteria.chassis.auth.revoked_sessions import RevokedSessions
from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging import Bus, NoAnswer
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.identity import Revocation, SessionsRevoked
from cafeteria.contracts.subjects import SESSIONS_REVOKED
from cafeteria.identity.repository import sessions

PAGE = 500
"""Revocations in one message: each is 83 bytes, so a message is 42 KB and below 64 KiB."""

REST = 4
"""After a publication that took t, an announcement waits 4 t: however many sessions end, a fifth of the time goes into it."""
MAX_REST_S = 0.5


class Revocations:
    """The live revocations. `revoked` is the list of this process's own verifier, which needs no bus."""

    def __init__(self, database: Database, bus: Bus, revoked: RevokedSessions) -> None:
        self._database = database
        self._bus = bus
        self._revoked = revoked
        self._rested_at = 0.0
        self.wake = Event()

    def announce(self) -> None:
        """Publish all live revocations at once, in a job; call it after the commit that ended a session. Never fails."""
        self.wake.set()

    async def publish(self) -> None:
        """Publish all live revocations; nothing, if there are none. Raises NoAnswer without the bus, and DatabaseUnavailable."""
        began = max(monotonic(), self._rested_at)
        await sleep(began - monotonic())
        try:
            async for page in self._pages():
                await self._bus.publish(SESSIONS_REVOKED, SessionsRevoked(revocations=page))
        except NoAnswer:
            await self.load_all()  # this process refuses all of them without the bus, too
            raise
        ended = monotonic()
        self._rested_at = ended + min(REST * (ended - began), MAX_REST_S)

    async def load_all(self) -> None:
        """Refuse all ended sessions here. Raises DatabaseUnavailable."""
        async for _ in self._pages():
            pass

    async def load(self, *, after: Revocation | None) -> tuple[Revocation, ...]:
        """Read the live revocations that follow `after`, at most PAGE, and refuse those sessions here."""
        async with self._database.statement() as connection:
            page = await sessions.read_revocations(connection, now=now(), after=after, limit=PAGE)
        self._revoked.add(page)
        return page

    async def _pages(self) -> AsyncIterator[tuple[Revocation, ...]]:
        page = await self.load(after=None)
        while page:
            yield page
            page = await self.load(after=page[-1]) if len(page) == PAGE else ()
