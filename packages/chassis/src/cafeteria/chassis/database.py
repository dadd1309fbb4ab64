"""One engine per service; a transaction is rolled back unless its block ends, and loss of the server has one name.

Whatever the driver raises when the server is away, `DatabaseUnavailable` comes out, and says only that the
outcome is unknown: a COMMIT may or may not have happened. Who needs to know reads again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from cafeteria.chassis.connections import Connections
from cafeteria.chassis.errors import Unavailable
from cafeteria.chassis.settings import ServiceSettings
from cafeteria.chassis.statements import Statement, driver_of

CONNECT_TIMEOUT_S = 3.0
ANSWER_WITHIN_S = 3.0  # where a person waits for the answer, a database that is silent for longer is away
STATEMENT_TIMEOUT_S = 10.0  # the server gives up before the client: a stuck lock cannot hold a batch for ever

_PING = Statement("SELECT 1")

_UNAVAILABLE_SQLSTATES = ("08", "53", "57", "58", "28")
"""Classes of SQLSTATE: connection, resources, operator intervention (a statement's time-out too: somebody holds its
rows), system error, authorization."""

_NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}


class DatabaseUnavailable(Unavailable):
    """The database did not answer; what was asked of it may have happened or not."""

    def __init__(self) -> None:
        super().__init__("The database does not answer just now.")


def schema_base(schema: str) -> type[DeclarativeBase]:
    """A declarative base for one service's schema: aware times, money to the cent, named constraints."""

    class Base(DeclarativeBase):
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

    def __init__(self, connections: Connections, *, patience_s: float | None = None) -> None:
        self._connections = connections
        self._patience_s = patience_s

    @classmethod
    def connect(cls, settings: ServiceSettings, *, service: str, pool_size: int = 8) -> "Database":
        """Make the pool; no connection is opened before the first use."""
        url = sa.make_url(settings.postgres_url).set(
            drivername="postgresql+asyncpg",
            username=service,
            password=settings.postgres_password.reveal(),
        )
        engine = create_async_engine(
            url,
            isolation_level="AUTOCOMMIT",  # `transaction` says BEGIN itself, whichever way statements go
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": STATEMENT_TIMEOUT_S + 1,
                "server_settings": {
                    "application_name": f"cafeteria-{service}",
                    "search_path": service,
                    "statement_timeout": f"{STATEMENT_TIMEOUT_S:.0f}s",
                    "idle_in_transaction_session_timeout": f"{STATEMENT_TIMEOUT_S:.0f}s",
                    # A plan for "some array" suits every batch; planning each anew costs more.
                    "plan_cache_mode": "force_generic_plan",
                    # Those plans are made while the tables are empty or small: left alone they would read
                    # whole tables, and go on doing so as these grow, until the next ANALYZE. Measured in
                    # a rush on a new installation: 2.1 to 3.8 ms of Postgres per order instead of 0.6.
                    "random_page_cost": "1.1",
                    "enable_seqscan": "off",
                },
            },
        )
        return cls(Connections(engine, size=pool_size, is_loss=_means_unavailable))

    def within(self, seconds: float) -> "Database":
        """The same pool, for somebody who waits: a block that takes longer raises DatabaseUnavailable."""
        return Database(self._connections, patience_s=seconds)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """BEGIN, and COMMIT when the block ends; ROLLBACK when it raises. Raises DatabaseUnavailable."""
        async with self.statement() as connection:
            await driver_of(connection).execute("BEGIN")
            try:
                yield connection
            except Exception as error:
                if not _means_unavailable(error):  # what was lost is given up, and rolled back by the server
                    await asyncio.shield(driver_of(connection).execute("ROLLBACK"))
                raise
            await driver_of(connection).execute("COMMIT")

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """Each statement is its own transaction: one round trip instead of three."""
        with _loss_has_one_name():
            async with asyncio.timeout(self._patience_s), self._connections.lent() as connection:
                yield connection

    async def ping(self) -> None:
        """Raise DatabaseUnavailable unless the server answers."""
        async with self.statement() as connection:
            await _PING.rows(connection, {})

    async def close(self) -> None:
        await self._connections.close()


@contextmanager
def _loss_has_one_name() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if _means_unavailable(error):
            raise DatabaseUnavailable from error
        raise


def _means_unavailable(error: Exception) -> bool:
    if isinstance(error, exc.DBAPIError):
        return (
            error.connection_invalidated
            or isinstance(error, exc.InterfaceError)
            or (isinstance(error.orig, Exception) and _means_unavailable(error.orig))
        )
    # The driver calls it an internal error when the server has said goodbye on a connection that is still open.
    if isinstance(error, exc.TimeoutError | OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return True
    return (getattr(error, "sqlstate", None) or "").startswith(_UNAVAILABLE_SQLSTATES)
