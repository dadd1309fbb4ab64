"""The schema itself keeps decisions and ledgers unchanged, and sells nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.stock.tables import Base
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Stock


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stock_transactions SET quantity_deducted = 1",
        "DELETE FROM stock_transactions",
        "TRUNCATE stock_transactions",
        "UPDATE restocks SET quantity = 1",
        "DELETE FROM restocks",
        "UPDATE reservations SET decision = 'RESERVED'",
        "UPDATE reservations SET lines = '[]'",
        "UPDATE reservations SET decided_at = now()",
        "DELETE FROM reservations",
        "UPDATE operations SET response_body = ''",
        "DELETE FROM items",
        "DELETE FROM inventory",
        "ALTER TABLE stock_transactions DISABLE TRIGGER ALL",
        "DROP TABLE reservations",
        "CREATE TABLE mine (id int)",
    ],
)
async def test_the_service_may_not_rewrite_decisions_and_ledgers(
    clean: None, servers: FixtureServers, statement: str
) -> None:
    async with servers.database_as("stock") as role:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await role.execute(statement)


async def test_the_service_may_release_a_decision_and_nothing_more(
    stock: Stock, servers: FixtureServers
) -> None:
    haleem = await stock.stock_up(1)
    order = stock.order({haleem: 1})
    await stock.reserve(order)

    async with servers.database_as("stock") as role:
        done = await role.execute("UPDATE reservations SET released_at = now()")

    assert done == "UPDATE 1"


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE inventory SET quantity = -1", "ck_inventory_quantity_not_negative"),
        ("UPDATE items SET price = -1", "ck_items_price_not_negative"),
        (
            "INSERT INTO operations VALUES ($1::uuid::text, sha256('x'), 404, '', now())",
            "ck_operations_response_of_success",
        ),
        (
            "INSERT INTO reservations VALUES ($1, 'PERHAPS', NULL, '[1]', now(), NULL)",
            "ck_reservations_decision_known",
        ),
        (
            "INSERT INTO reservations VALUES ($1, 'REJECTED', NULL, '[1]', now(), NULL)",
            "ck_reservations_reason_of_refusals",
        ),
        (
            "INSERT INTO reservations VALUES ($1, 'REJECTED', 'TIRED', '[1]', now(), NULL)",
            "ck_reservations_reason_known",
        ),
        (
            "INSERT INTO reservations VALUES ($1, 'RESERVED', NULL, '[]', now(), NULL)",
            "ck_reservations_lines_of_reservations",
        ),
        (
            "INSERT INTO stock_transactions SELECT $1, $1, id, -1, now(), 'DEDUCT' FROM items",
            "ck_stock_transactions_sign_of_kind",
        ),
        (
            "INSERT INTO stock_transactions SELECT $1, $1, id, 0, now(), 'RELEASE' FROM items",
            "ck_stock_transactions_sign_of_kind",
        ),
        (
            "INSERT INTO stock_transactions SELECT $1, $1, id, 1, now(), 'GIFT' FROM items",
            "ck_stock_transactions_kind_known",
        ),
        (
            "INSERT INTO restocks SELECT $1, id, -1, 'nobody', now() FROM items",
            "ck_restocks_quantity_not_negative",
        ),
        ("INSERT INTO inventory SELECT $1, id, 1, 1, now() FROM items", "uq_inventory_item_id"),
    ],
)
async def test_a_state_that_cannot_be_is_refused_by_name(
    clean: None, servers: FixtureServers, statement: str, constraint: str
) -> None:
    async with servers.database_as("stock") as role:
        await role.execute("INSERT INTO items VALUES ($1, 'Haleem', 120, now())", new_id())
        await role.execute("INSERT INTO inventory SELECT id, id, 1, 1, now() FROM items")
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
            await role.execute(statement, *([new_id()] if "$1" in statement else []))

    assert refused.value.constraint_name == constraint


async def test_the_migrations_make_the_tables_that_the_code_declares(
    clean: None, servers: FixtureServers
) -> None:
    url = make_url(servers.postgres_admin_url).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            differences = await connection.run_sync(differences_from_code)
    finally:
        await engine.dispose()

    assert differences == []


def differences_from_code(connection: Connection) -> list[Any]:
    """In columns, types, keys and indexes; server-side defaults are the migrations' own."""
    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == "stock",
            "include_object": lambda _object, name, kind, *_: (kind, name) != ("table", "alembic_version"),
        },
    )
    return list(compare_metadata(context, Base.metadata))
