"""The tables against a real server: what the migrations create, and rows that cannot be stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from cafeteria.gateway.domain import Placing
from cafeteria.gateway.tables import Base
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import BrokenStack


HALEEM = UUID(int=1)


async def test_the_migration_creates_the_tables_that_the_code_declares(servers: FixtureServers) -> None:
    engine = create_async_engine(servers.postgres_admin_url.replace("postgresql", "postgresql+asyncpg", 1))

    def differences(connection: Connection) -> list[Any]:
        def is_ours(_thing: Any, name: str | None, kind: str, *_: Any) -> bool:
            return (
                kind != "table" or name in Base.metadata.tables or f"gateway.{name}" in Base.metadata.tables
            )

        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == "gateway",
                "include_object": is_ours,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        return list(compare_metadata(context, Base.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


@pytest.mark.parametrize(
    ("assignment", "constraint"),
    [
        ("status = 'BURNT'", "ck_orders_status_known"),
        ("status = 'READY'", "ck_orders_version_of_status"),
        ("next_ask_at = NULL", "ck_orders_pending_is_asked_again"),
        ("status = 'CANCELLED', version = 3, next_ask_at = NULL", "ck_orders_cancelled_is_released"),
        ("status = 'REJECTED', version = 2", "ck_orders_rejected_has_reason"),
        ("released_at = now()", "ck_orders_only_cancelled_released"),
        ("total = -1", "ck_orders_total_not_negative"),
    ],
)
async def test_invalid_rows_cannot_be_stored(
    broken_stack: BrokenStack,
    admin_database: asyncpg.Connection,
    placing: Callable[..., Placing],
    assignment: str,
    constraint: str,
) -> None:
    await broken_stack.receive([placing({HALEEM: 1}, key="k")])
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await admin_database.execute(f"UPDATE gateway.orders SET {assignment}")  # noqa: S608 - written above
    assert refused.value.constraint_name == constraint


async def test_the_jobs_read_by_their_indexes_however_many_orders_are_done(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    await admin_database.execute(
        """INSERT INTO gateway.orders (id, student_id, status, created_at, updated_at, lines, version,
               expires_at, status_times)
           SELECT gen_random_uuid(), 's', 'READY', now(), now(), '[]', 4, now(), '{}'
           FROM generate_series(1, 20000)"""
    )
    await admin_database.execute("ANALYZE gateway.orders")
    for question in (
        "SELECT id FROM gateway.orders WHERE next_ask_at <= now() AND status = 'PENDING'",
        "SELECT id FROM gateway.orders WHERE next_check_at <= now() ORDER BY next_check_at LIMIT 500",
    ):
        plan = await admin_database.fetch(f"EXPLAIN {question}")
        assert "Seq Scan" not in str(plan), plan
