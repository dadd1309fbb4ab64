"""Which connection a caller is lent, and how one that is given up takes its leave.

SQLAlchemy opens them and counts them. Those that are free are kept here as they are: setting up and taking down its
connection object around one in its pool costs 105 µs of processor time for each use, and a statement itself 40.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cafeteria.chassis.sqlstates import trouble_of
from cafeteria.chassis.statements import driver_of

POOL_WAIT_S = 3.0  # a caller that waits longer for a connection is told that the database is away
GOODBYE_S = (
    2.0  # a connection that is given up cancels its statement and takes its leave, and nobody waits for it
)
CONNECTION_LIFETIME_S = 1800
YOUNG_S = (
    1.0  # a connection that was opened within this time finds what another would find: it is not opened again
)


class Connections:
    """At most `size` are out at a time.

    After a failover or a change of the schema those that are idle would fail one by one: none that was opened before
    such an error is used again.
    """

    def __init__(self, engine: AsyncEngine, *, size: int) -> None:
        self._engine = engine
        self._outdated_until = 0.0
        self._free = asyncio.Semaphore(size)
        self._idle: list[
            tuple[float, AsyncConnection]
        ] = []  # since when it is kept; the last used one goes first
        self._partings = _Partings(engine)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[AsyncConnection]:
        """Raises TimeoutError after POOL_WAIT_S, and whatever opening one raises.

        Nobody knows where a connection stands on which an answer is outstanding. It is not used again.
        """
        await self._wait_for_room()
        try:
            since, connection = await self._idle_one() or (monotonic(), await self._engine.connect().start())
            try:
                yield connection
            except BaseException as error:
                if not isinstance(error, Exception) or self._is_lost(error):
                    await connection.invalidate()
                await self._keep(since, connection)
                raise
            await self._keep(since, connection)
        finally:
            self._free.release()

    async def close(self) -> None:
        """All of them, in GOODBYE_S at most: those that are idle leave as those do that were given up."""
        for _, connection in self._idle:
            await connection.invalidate()
            await connection.close()
        self._idle.clear()
        await self._engine.dispose()
        await self._partings.over()

    async def _wait_for_room(self) -> None:
        if self._free.locked():
            async with asyncio.timeout(POOL_WAIT_S):
                await self._free.acquire()
        else:
            await self._free.acquire()

    async def _idle_one(self) -> tuple[float, AsyncConnection] | None:
        """None when there is none that the server has not closed and that is not too old."""
        while self._idle:
            since, connection = self._idle.pop()
            if not driver_of(connection).is_closed() and self._is_fresh(since):
                return since, connection
            await connection.invalidate()
            await connection.close()
        return None

    def _is_lost(self, error: Exception) -> bool:
        trouble = trouble_of(error)
        if trouble is None:
            return False
        if trouble.outdates_connections:
            self._outdated_until = monotonic() - YOUNG_S
        return trouble.loses_connection

    def _is_fresh(self, since: float) -> bool:
        return since > max(self._outdated_until, monotonic() - CONNECTION_LIFETIME_S)

    async def _keep(self, since: float, connection: AsyncConnection) -> None:
        if connection.invalidated:
            await connection.close()
            return
        if connection.in_transaction():  # SQLAlchemy's own idea of one; the driver has none
            await connection.rollback()
        self._idle.append((since, connection))


class _Partings:
    """Connections that were given up in the middle of something: each goes by itself.

    SQLAlchemy would have whoever gave one up wait until it has gone, which a silent server draws out to GOODBYE_S.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._leaving: set[asyncio.Task[None]] = set()
        engine.dialect.do_terminate = self._let_go  # type: ignore[assignment,method-assign]  # the pool's way to end a connection

    def _let_go(self, connection: Any) -> None:
        try:
            leaving = asyncio.get_running_loop().create_task(_leave(connection.driver_connection))
        except RuntimeError:  # the collector found it, after its loop
            connection.driver_connection.terminate()
        else:
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def over(self) -> None:
        if self._leaving:
            await asyncio.wait(self._leaving)


async def _leave(connection: Any) -> None:
    with suppress(Exception):  # whatever it met, it has let go of its socket
        await connection.close(timeout=GOODBYE_S)
