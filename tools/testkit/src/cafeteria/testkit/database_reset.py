"""Brings every table back to what its migration left in it: quick where nothing was written.

Rows are deleted: TRUNCATE makes new files for a table and its indexes, which costs Postgres 20 ms for a few small ones,
and a DELETE of what a test has written less than one. A table that has grown large is truncated.
"""

import asyncpg

from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning.administrator import connect

LOCK_TIMEOUT = "5s"  # a test that left a transaction open is told so, instead of hanging

_LARGE_BYTES = 1 << 20  # of a table and its indexes: deleting so many rows takes longer than making new files

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1::text[]) AND c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version' ORDER BY 1
"""

_LARGE = "SELECT name FROM unnest($1::text[]) AS name WHERE pg_total_relation_size(name::regclass) > $2"

_RESTART_IDENTITY = """
SELECT setval(s.seqrelid, s.seqstart, false) FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = ANY($1::text[])
"""


class DatabaseReset:
    """One administrator's connection, made again when the server was away."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._connection: asyncpg.Connection | None = None
        self._tables: list[str] = []
        self._seeded: list[str] = []

    async def remember(self) -> None:
        """Keep a copy of the rows that migrations inserted."""
        connection = await self._connect()
        self._tables = [row[0] for row in await connection.fetch(_TABLES, list(SERVICES))]
        self._seeded = await self._filled(connection)
        for number, table in enumerate(self._seeded):
            await connection.execute(f"CREATE TABLE public.seed_{number} AS TABLE {table}")

    async def clean(self) -> None:
        connection = await self._connect()
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            if filled := await self._filled(connection):
                await _empty(connection, filled)
            for number, table in enumerate(self._seeded):
                await connection.execute(
                    f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE public.seed_{number}"
                )

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _filled(self, connection: asyncpg.Connection) -> list[str]:
        if not self._tables:
            return []
        asked = ", ".join(f"EXISTS (SELECT FROM {table})" for table in self._tables)
        [row] = await connection.fetch(f"SELECT {asked}")
        return [table for table, is_filled in zip(self._tables, row, strict=True) if is_filled]

    async def _connect(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._admin_url)
        return self._connection


async def _empty(connection: asyncpg.Connection, tables: list[str]) -> None:
    """In the caller's transaction: nobody has any of them in use when their rows go."""
    await connection.execute(f"LOCK TABLE {', '.join(tables)}")
    if large := [row["name"] for row in await connection.fetch(_LARGE, tables, _LARGE_BYTES)]:
        await connection.execute(f"TRUNCATE {', '.join(large)} CASCADE")
    deletions = "; ".join(f"DELETE FROM {table}" for table in tables)  # noqa: S608 - names from the catalogue
    # all rows go, in whichever order tables refer to one another
    await connection.execute(f"SET LOCAL session_replication_role = replica; {deletions}")
    await connection.execute(_RESTART_IDENTITY, list(SERVICES))
