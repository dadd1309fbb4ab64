"""Old rows cost nothing: among 200,000 of them, each query of the service reads about as many rows as it returns.

Postgres counts the rows, for a table without statistics and for one with them: a planner without statistics must not
read the whole table either.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import NOTIFICATION
from cafeteria.contracts.values import OrderStatus, OrderVersion
from cafeteria.notification.domain import LogPlace, ReplayWindow, Status, Viewer
from cafeteria.notification.repository import (
    check_delivery,
    follow_events,
    list_notifications,
    log,
    mark_delivered,
    record_statuses,
)
from cafeteria.testkit.servers import FixtureServers

STUDENT = "210041101"
OLD_ROWS = 200_000
FRESH_ROWS = 20
NEWEST = OLD_ROWS + FRESH_ROWS

_ROWS_READ = text("""
SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables
WHERE schemaname = 'notification'
""")

Query = Callable[[AsyncConnection], Awaitable[Any]]


def window(*, seen: int | None, order_id: UUID | None = None) -> ReplayWindow:
    viewer = Viewer(student_id=STUDENT, order_id=order_id)
    place = None if seen is None else LogPlace(seen, 0)
    return ReplayWindow.open(viewer, seen=place, newest=NEWEST, now=datetime.now(UTC))


def pending(order_id: UUID) -> Status:
    return Status(
        order_id=order_id, student_id=STUDENT, status=OrderStatus.PENDING, version=1, at=datetime.now(UTC)
    )


async def record(connection: AsyncConnection) -> None:
    mark = await record_statuses.lock_counter(connection)
    statuses = [pending(new_id()) for _ in range(10)]
    await record_statuses.record(
        connection, statuses, position=mark.position, epoch="one", sequence=5, now=datetime.now(UTC)
    )


QUERIES: dict[str, Query] = {
    "connect": lambda it: follow_events.read_window(it, window(seen=None), limit=1000),
    "connect to one order": lambda it: follow_events.read_window(
        it, window(seen=None, order_id=new_id()), limit=1000
    ),
    "resume": lambda it: follow_events.read_window(it, window(seen=OLD_ROWS), limit=1000),
    "resume far back": lambda it: follow_events.read_window(it, window(seen=0), limit=FRESH_ROWS),
    "check an event id": lambda it: follow_events.read_place(it, OLD_ROWS),
    "read the counter": log.read_counter,
    "push": lambda it: record_statuses.read_log(it, after=OLD_ROWS, limit=1000),
    "list notifications": lambda it: list_notifications.read_page(
        it, STUDENT, before=NEWEST // 2, limit=FRESH_ROWS
    ),
    "check delivery": lambda it: check_delivery.read_missing(
        it, [OrderVersion(order_id=new_id(), version=1) for _ in range(10)]
    ),
    "mark delivered": lambda it: mark_delivered.mark_delivered(
        it, range(OLD_ROWS, NEWEST), now=datetime.now(UTC)
    ),
    "record": record,
}


@pytest.fixture(scope="module")
async def many_old_rows(servers: FixtureServers) -> AsyncIterator[Database]:
    await servers.clean()
    database = Database.connect(servers.settings(NOTIFICATION, ServiceSettings), service=NOTIFICATION)
    async with servers.database_as_admin() as admin:
        await admin.execute("ALTER TABLE notification.notifications SET (autovacuum_enabled = false)")
        # The plans are made, and kept, while the tables are empty: as in the first minute of a rush.
        async with database.transaction() as connection:
            for query in QUERIES.values():
                await query(connection)
        await admin.execute("DELETE FROM notification.notifications")
        await admin.execute("DELETE FROM notification.open_orders")
        await fill(admin, OLD_ROWS, first=1, at=datetime.now(UTC) - timedelta(hours=5))
        await fill(admin, FRESH_ROWS, first=OLD_ROWS + 1, at=datetime.now(UTC))
        await admin.execute("UPDATE notification.position_counter SET position = $1", NEWEST)
        yield database
        await database.close()
        await admin.execute("ALTER TABLE notification.notifications RESET (autovacuum_enabled)")
    await servers.clean()


@pytest.fixture(scope="module", params=["without statistics", "with statistics"])
async def statistics(
    request: pytest.FixtureRequest, many_old_rows: Database, servers: FixtureServers
) -> None:
    """Postgres has none until ANALYZE."""
    if request.param == "with statistics":
        async with servers.database_as_admin() as admin:
            await admin.execute("ANALYZE notification.notifications")


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_reads_about_as_many_rows_as_it_returns(
    many_old_rows: Database, statistics: None, name: str
) -> None:
    with contextlib.suppress(RolledBack):
        async with many_old_rows.transaction() as connection:
            before = await connection.scalar(_ROWS_READ)
            await QUERIES[name](connection)
            read = await connection.scalar(_ROWS_READ) - before
            raise RolledBack
    assert read <= 5 * FRESH_ROWS


class RolledBack(Exception):
    """Rolls a query back, so that each one finds the same rows."""


async def fill(admin: asyncpg.Connection, rows: int, *, first: int, at: datetime) -> None:
    await admin.execute(
        """
        INSERT INTO notification.notifications
            (id, order_id, student_id, status_sent, sent_at, version, position, status_at)
        SELECT gen_random_uuid(), gen_random_uuid(), $2, 'PENDING', $3, 1, number, $3
        FROM generate_series(CAST($4 AS bigint), $4 + $1 - 1) AS number
        """,
        rows,
        STUDENT,
        at,
        first,
    )
