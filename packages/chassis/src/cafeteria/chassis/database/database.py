"""The database pool of a service: a transaction commits when its block ends, and is rolled back when the block raises.

If the server is unavailable, every driver error becomes `DatabaseUnavailable`. It means that the outcome is
unknown: a COMMIT may or may not have happened. A caller that needs the outcome reads it again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from advanced_alchemy.base import CommonTableAttributes
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.libpq import DEFAULT_PORT, EXPLICIT_ARGUMENTS
from cafeteria.chassis.database.pool import ConnectionPool
from cafeteria.chassis.database.sqlstates import fault_of, sqlstate_of
from cafeteria.chassis.database.statement import Row, Statement, driver_of
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.settings import DatabaseSettings

CONNECT_TIMEOUT_S = 3.0
ANSWER_WITHIN_S = 3.0  # while a person waits; a database that answers later counts as unavailable
STATEMENT_TIMEOUT_S = 10.0  # the server cancels before the client: a stuck lock cannot block a batch for ever

REPORT_EVERY_S = 60.0  # an error that an operator must repair is logged again after this time

_STATE = Statement(
    """SELECT current_setting('transaction_read_only')::boolean AS is_read_only,
              current_schema() IS NULL AS lacks_schema"""
)

_NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}


_log = get_logger()


def schema_base(schema: str) -> type[DeclarativeBase]:
    """Return a declarative base for one service's schema: aware times, money to the cent, named constraints."""

    class Base(CommonTableAttributes, DeclarativeBase):
        metadata = sa.MetaData(schema=schema, naming_convention=_NAMING)
        type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads the class attribute
            datetime: sa.TIMESTAMP(timezone=True),
            Decimal: sa.Numeric(10, 2),
            UUID: sa.Uuid(),
            dict[str, Any]: JSONB(),
            list[Any]: JSONB(),
        }

    return Base


class Database:
    """The service's pool of connections, logged in as the service's own role."""

    def __init__(
        self, connections: ConnectionPool, faults: "_FaultLog", *, timeout_s: float | None = None
    ) -> None:
        self._connections = connections
        self._faults = faults
        self._timeout_s = timeout_s

    @classmethod
    def connect(cls, settings: DatabaseSettings, *, service: str, pool_size: int = 8) -> "Database":
        """Create the pool; the first use opens the first connection."""
        url = sa.make_url(settings.postgres_url).set(
            drivername="postgresql+asyncpg",
            username=service,
            password=settings.postgres_password.reveal(),
        )
        url = url.set(port=url.port or DEFAULT_PORT)
        engine = create_async_engine(
            url,
            isolation_level="AUTOCOMMIT",  # `transaction` sends BEGIN itself, for both kinds of statements
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            connect_args={
                **EXPLICIT_ARGUMENTS,
                "record_class": Row,  # a statement that the driver prepares again ignores the class of its call
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": STATEMENT_TIMEOUT_S + 1,
                "server_settings": {
                    "application_name": f"cafeteria-{service}",
                    "search_path": service,
                    "statement_timeout": f"{STATEMENT_TIMEOUT_S:.0f}s",
                    "idle_in_transaction_session_timeout": f"{STATEMENT_TIMEOUT_S:.0f}s",
                    # A generic plan for an array fits every batch; a new plan for each costs more.
                    "plan_cache_mode": "force_generic_plan",
                    # Those plans are made while the tables are empty or small: by default they would scan
                    # whole tables, also as these grow, until the next ANALYZE. Measured in a rush on a new
                    # installation: 2.1 to 3.8 ms of Postgres per order instead of 0.6.
                    "random_page_cost": "1.1",
                    "enable_seqscan": "off",
                },
            },
        )
        return cls(ConnectionPool(engine, size=pool_size), _FaultLog())

    def within(self, seconds: float) -> "Database":
        """Return the same pool with a time limit: a block that takes longer raises DatabaseUnavailable."""
        return Database(self._connections, self._faults, timeout_s=seconds)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Send BEGIN, then COMMIT when the block ends or ROLLBACK when it raises. Raises DatabaseUnavailable."""
        async with self.statement() as connection:
            await driver_of(connection).execute("BEGIN")
            try:
                yield connection
            except Exception as error:
                fault = fault_of(error)
                if fault is None or not fault.loses_connection:  # else the server itself rolls back
                    await asyncio.shield(driver_of(connection).execute("ROLLBACK"))
                raise
            await driver_of(connection).execute("COMMIT")

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection on which each statement is its own transaction: one round trip instead of three."""
        with self._translated_errors():
            async with asyncio.timeout(self._timeout_s), self._connections.acquired() as connection:
                yield connection

    async def ping(self) -> None:
        """Raise DatabaseUnavailable unless the server answers, accepts changes and has the service's schema."""
        async with self.statement() as connection:
            await require_usable(connection)

    async def close(self) -> None:
        await self._connections.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            fault = fault_of(error)
            if fault is None:
                raise
            if fault.needs_repair:
                self._faults.report(error)
            raise DatabaseUnavailable(fault.detail) from error


async def require_usable(connection: AsyncConnection) -> None:
    """Raise the server's error if it refuses changes or the service's schema is missing; costs one round trip.

    Call it before work that has an effect elsewhere before its first change.
    """
    [found] = await _STATE.rows(connection, {})
    if found.is_read_only:
        raise asyncpg.ReadOnlySQLTransactionError("The server accepts no changes.")
    if found.lacks_schema:
        raise asyncpg.InvalidSchemaNameError("The service's schema is missing.")


class _FaultLog:
    """Logs an error that needs repair once in REPORT_EVERY_S for each SQLSTATE, not at every statement."""

    def __init__(self) -> None:
        self._reported_at: dict[str, float] = {}

    def report(self, error: Exception) -> None:
        sqlstate = sqlstate_of(error)
        now = monotonic()
        if now - self._reported_at.get(sqlstate, -REPORT_EVERY_S) >= REPORT_EVERY_S:
            self._reported_at[sqlstate] = now
            _log.error("database_unusable", sqlstate=sqlstate, exc_info=error)
