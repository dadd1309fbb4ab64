"""A student's data can be exported, and the name taken out of it, by the administrator; what is left still adds up."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import pytest

from cafeteria.contracts import subjects
from cafeteria.contracts.gateway import PlaceOrder
from cafeteria.provisioning.student_data import ROWS_OF_ORDERS, ROWS_OF_STUDENT, Refused, export, forget

STUDENT = "forgetful-1"
PASSWORD = "a-long-walk-to-lunch"
NOT_ABOUT_STUDENTS = {
    "dead_letters", "intake", "inventory", "items", "operations", "outbox", "pickup_key", "position_counter", "relay_lease", "sender_windows",
}  # fmt: skip
"""An outbox is empty when all orders are finished, a dead letter is for a person to read and delete, an operation lives a day, a window a minute.
The intake names the one of the staff who changed it last."""

_TABLES = """
SELECT schemaname || '.' || tablename AS name FROM pg_tables
WHERE schemaname = ANY($1) AND tablename <> 'alembic_version'
"""
_UNBALANCED = """
SELECT item_id FROM stock.inventory WHERE quantity <>
    (SELECT sum(quantity) FROM stock.restocks WHERE restocks.item_id = inventory.item_id)
    - (SELECT coalesce(sum(quantity_deducted), 0) FROM stock.stock_transactions WHERE stock_transactions.item_id = inventory.item_id)
"""
_FINISHED = """
SELECT true FROM gateway.orders WHERE student_id = $1 AND status = 'READY' AND next_check_at IS NULL
    AND EXISTS (SELECT FROM notification.notifications WHERE student_id = $1 AND status_sent = 'READY')
    AND NOT EXISTS (SELECT FROM kitchen.kitchen_orders WHERE student_id = $1 AND confirm_at IS NOT NULL)
"""


@pytest.fixture(scope="module")
async def admin(servers: Any) -> AsyncIterator[asyncpg.Connection]:
    async with servers.database_as_admin() as connection:
        yield connection


async def tables(admin: asyncpg.Connection) -> set[str]:
    return {row["name"] for row in await admin.fetch(_TABLES, list(subjects.SERVICES))}


async def tables_that_name(admin: asyncpg.Connection, text: str) -> set[str]:
    """Return the tables with a row that has the text in any column."""
    return {
        table
        for table in await tables(admin)
        if await admin.fetchval(f"SELECT true FROM {table} AS t WHERE t::text LIKE $1 LIMIT 1", f"%{text}%")  # noqa: S608 - Postgres' own names
    }


@pytest.fixture
async def student_who_ate(
    all_services: dict[str, str],
    admin: asyncpg.Connection,
    golden: Any,
    add_items: Any,
    tokens: Any,
    wait_until: Any,
) -> str:
    """The id of a student who has signed in, once with a wrong password, and whose order is ready."""
    body = golden(PlaceOrder)[""]
    await add_items(msgspec.json.decode(body, type=PlaceOrder).lines)
    account = {"student_id": STUDENT, "password": PASSWORD, "full_name": "Some Body"}
    async with httpx.AsyncClient() as web:
        identity, gateway = all_services[subjects.IDENTITY], all_services[subjects.GATEWAY]
        made = await web.post(
            f"{identity}/v1/students", json=account, headers=tokens.header(tokens.operator())
        )
        assert made.status_code == httpx.codes.CREATED, made.text
        for password in ("wrong-" + PASSWORD, PASSWORD):
            signed_in = await web.post(
                f"{identity}/v1/login", json={"student_id": STUDENT, "password": password}
            )
        token = signed_in.json()["access_token"]
        headers = {
            "Authorization": f"Bearer {token}",
            "Idempotency-Key": str(uuid4()),
            "Content-Type": "application/json",
        }
        placed = await web.post(f"{gateway}/v1/orders", content=body, headers=headers)
        assert placed.status_code == httpx.codes.CREATED, placed.text
    await wait_until(lambda: admin.fetchval(_FINISHED, STUDENT), timeout_s=40)
    return STUDENT


async def test_every_table_is_about_students_or_not(servers: Any, admin: asyncpg.Connection) -> None:
    about = {*ROWS_OF_STUDENT, *ROWS_OF_ORDERS}
    others = {table for table in await tables(admin) if table.partition(".")[2] in NOT_ABOUT_STUDENTS}
    assert about | others == await tables(admin)


@pytest.mark.timeout(120)
async def test_all_is_exported_and_then_nothing_names_the_student(
    admin: asyncpg.Connection, student_who_ate: str
) -> None:
    naming = await tables_that_name(admin, STUDENT)
    exported = await export(admin, STUDENT)
    assert naming | set(ROWS_OF_ORDERS) <= set(exported)
    assert "argon2" not in str(exported)
    orders, before = exported["gateway.orders"], await admin.fetchval("SELECT count(*) FROM gateway.orders")

    with pytest.raises(Refused, match="valid token"):
        await forget(admin, STUDENT, apply=True)
    await admin.execute(
        "UPDATE identity.users SET disabled_at = now() - interval '2 hours' WHERE student_id = $1", STUDENT
    )
    await admin.execute("UPDATE gateway.orders SET status = 'IN_KITCHEN', version = 3")
    with pytest.raises(Refused, match="not finished"):
        await forget(admin, STUDENT, apply=True)
    await admin.execute("UPDATE gateway.orders SET status = 'READY', version = 4")
    assert await forget(admin, STUDENT, apply=False) == await forget(admin, STUDENT, apply=False)
    assert await tables_that_name(admin, STUDENT) == naming

    assert set(await forget(admin, STUDENT, apply=True)) >= naming

    assert await tables_that_name(admin, STUDENT) == set()
    assert await tables_that_name(admin, "Some Body") == set()
    assert await admin.fetchval("SELECT count(*) FROM gateway.orders") == before
    assert len(await export(admin, await admin.fetchval("SELECT student_id FROM gateway.orders"))) > 0
    assert orders[0]["id"] in {str(row["id"]) for row in await admin.fetch("SELECT id FROM gateway.orders")}
    assert await admin.fetch(_UNBALANCED) == []
    assert await export(admin, STUDENT) == {}
    assert await forget(admin, STUDENT, apply=True) == {}
