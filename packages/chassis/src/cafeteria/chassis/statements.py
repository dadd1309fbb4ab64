"""SQL that is written by hand goes to the driver as it stands; what SQLAlchemy has built, SQLAlchemy executes.

The way through SQLAlchemy and its greenlets costs more processor time than the statement itself: measured, 540 µs
for one that takes and returns 18 rows, 230 µs here. Both ways share a connection, and a transaction.
"""

from collections.abc import Mapping
from typing import Any, cast

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection

_DIALECT = dialect()  # type: ignore[no-untyped-call]  # writes :name as the $n that the driver wants


class Row(asyncpg.Record):
    """Columns by name, as attributes too, as SQLAlchemy's rows have them."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Statement:
    """Takes `:name` parameters of the types that it casts them to. The driver prepares it once on each connection."""

    def __init__(self, sql: str) -> None:
        compiled = sa.text(sql).compile(dialect=_DIALECT)
        self._sql = str(compiled)
        self._names = tuple(compiled.positiontup or ())

    async def rows(self, connection: AsyncConnection, parameters: Mapping[str, Any]) -> list[Row]:
        """What it returns, all of it. Raises the driver's errors: asyncpg.UniqueViolationError and its kin."""
        arguments = [parameters[name] for name in self._names]
        return await driver_of(connection).fetch(self._sql, *arguments, record_class=Row)


def driver_of(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    """The driver's own connection, on which no step of SQLAlchemy stands between."""
    checked_out = connection.sync_connection
    if checked_out is None or checked_out.connection.driver_connection is None:
        raise asyncpg.InterfaceError("This connection was given up.")
    return cast("asyncpg.Connection[Any]", checked_out.connection.driver_connection)
