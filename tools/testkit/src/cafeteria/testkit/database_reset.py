"""Resets every table to its state after the migrations; it is fast if a test wrote little.

It deletes rows: TRUNCATE creates new files for a table and its indexes, which costs Postgres 20 ms for a few small
ones, while a DELETE of a test's rows costs less than 1 ms. It truncates tables above _LARGE_BYTES.
"""

import asyncpg

from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning.administrator import connect

LOCK_TIMEOUT = "5s"  # a transaction that a test left open causes an error instead of a hanging run

_LARGE_BYTES = 1 << 20  # of a table and its indexes: above this size a DELETE takes longer than new files

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
    """Resets the tables on an administrator's connection, which it opens again after a server's restart."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._connection: asyncpg.Connection | None = None
        self._tables: list[str] = []
        self._seeded: list[str] = []

    async def save_migrated_rows(self) -> None:
        """Copy the rows that migrations inserted. Call it once, before the first `clean`."""
        connection = await self._connect()
        self._tables = [row[0] for row in await connection.fetch(_TABLES, list(SERVICES))]
        self._seeded = await self._filled(connection)
        for number, table in enumerate(self._seeded):
            await connection.execute(f"CREATE TABLE public.seed_{number} AS TABLE {table}")

    async def clean(self) -> None:
        """Empty every table and insert the migrations' rows again. A lock on a table is an error after LOCK_TIMEOUT."""
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
        columns = ", ".join(f"EXISTS (SELECT FROM {table})" for table in self._tables)
        [row] = await connection.fetch(f"SELECT {columns}")
        return [table for table, is_filled in zip(self._tables, row, strict=True) if is_filled]

    async def _connect(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._admin_url)
        return self._connection


async def _empty(connection: asyncpg.Connection, tables: list[str]) -> None:
    """Empty the tables in the caller's transaction, which locks them first."""
    await connection.execute(f"LOCK TABLE {', '.join(tables)}")
    if large := [row["name"] for row in await connection.fetch(_LARGE, tables, _LARGE_BYTES)]:
        await connection.execute(f"TRUNCATE {', '.join(large)} CASCADE")
    deletions = "; ".join(f"DELETE FROM {table}" for table in tables)  # noqa: S608 - names from the catalogue
    # without foreign key checks, so that the order of the tables does not matter
    await connection.execute(f"SET LOCAL session_replication_role = replica; {deletions}")
    await connection.execute(_RESTART_IDENTITY, list(SERVICES))
