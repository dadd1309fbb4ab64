"""What students see while Postgres takes no changes, as around a failover, and while its tables are altered.

Rows of docs/failure-modes.md name these tests. No answer is a 500, no order or message is lost, and no service restarts.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest

from cafeteria.contracts.gateway import PlaceOrder
from cafeteria.contracts.subjects import SERVICES

if TYPE_CHECKING:
    from conftest import RunningStack

AT_ONCE_S = 2.5
"""It takes milliseconds; a busy machine adds to it. A silent database would take three seconds."""
WRITABLE_AGAIN_S = 10.0  # a second or two; without a recovery it would never be writable
READY_AGAIN_S = 30.0
MANY_ORDERS = 40
PASSWORD = "iftar-rush-2026"


@asynccontextmanager
async def read_only(stack: "RunningStack") -> AsyncIterator[None]:
    """Postgres refuses changes, in sessions that are already open too."""
    async with stack.database() as admin:
        await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await admin.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            await admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await admin.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module", autouse=True)
async def fresh_statements_afterwards(shared_stack: "RunningStack") -> AsyncIterator[None]:
    """Restart the services after this file: each connection answers 503 once for a table that was altered under it."""
    yield
    members = [member for service in SERVICES for member in shared_stack.replicas(service)]
    for member in members:
        shared_stack.processes.kill(member, signal.SIGKILL)
    for member in members:
        await shared_stack.processes.ready(member)


@pytest.fixture
def errors_logged(stack: "RunningStack") -> Callable[[], list[bytes]]:
    """Lines at ERROR that the services have written since the test began."""
    names = [name for service in SERVICES for name in stack.replicas(service)]
    files = [stack.processes.home.logs / f"{name}.log" for name in names]
    before = {path: path.stat().st_size for path in files}

    def errors_logged() -> list[bytes]:
        lines = [line for path in files for line in path.read_bytes()[before[path] :].splitlines()]
        return [line for line in lines if b'"level":"error"' in line or b"Traceback" in line]

    return errors_logged


async def answer(stack: "RunningStack", method: str, url: str, **request: Any) -> tuple[int, str, float]:
    """Status, problem type and seconds; a stream has answered as soon as it is open."""
    began = monotonic()
    async with stack.http.request(method, url, **request) as response:
        problem = ""
        if response.content_type == "application/problem+json":
            problem = msgspec.json.decode(await response.read())["type"]
            assert response.status != 503 or int(response.headers["Retry-After"]) >= 1
        return response.status, problem, monotonic() - began


async def log_in(stack: "RunningStack", student: Any) -> tuple[int, str, float]:
    """One attempt, without a retry."""
    body = {"student_id": student.student_id, "password": PASSWORD}
    return await answer(stack, "POST", f"{stack.urls.identity}/v1/login", json=body)


async def is_ready(stack: "RunningStack", name: str) -> bool:
    status, *_ = await answer(stack, "GET", f"{stack.processes.url(name)}/health/ready")
    return status == 200


def pids(stack: "RunningStack") -> dict[str, int]:
    return {name: stack.processes.pid(name) for service in SERVICES for name in stack.replicas(service)}


async def test_while_postgres_is_read_only_changes_are_503_and_afterwards_everything_goes_on(
    stack: "RunningStack", lines_of, order_in, wait_until, errors_logged
) -> None:
    student, dish = await stack.student(), await stack.dish(50)
    stack.follow(student)
    before = [order_in(await student.order(lines_of(dish), key=f"b{number}")) for number in range(4)]
    running = pids(stack)
    gateway, headers = stack.urls.gateways[0], {**student.authorization, "Content-Type": "application/json"}
    order = {
        "data": msgspec.json.encode(PlaceOrder(lines=lines_of(dish))),
        "headers": {**headers, "Idempotency-Key": "m"},
    }

    tries = count()

    async def is_refused() -> bool:
        """Each try has a key of its own: one that came before the change is an order, and its repeat is answered."""
        return (await student.order_once(lines_of(dish), key=f"try{next(tries)}")).status == 503

    async with read_only(stack):
        await wait_until(is_refused)
        for _ in range(3):
            for asked in (answer(stack, "POST", f"{gateway}/v1/orders", **order), log_in(stack, student)):
                status, problem, took_s = await asked
                assert (status, problem) == (503, "/problems/unavailable")
                assert took_s < AT_ONCE_S
        for path in ("/v1/menu", "/v1/orders"):
            assert (await answer(stack, "GET", f"{gateway}{path}", headers=headers))[0] == 200
        for name in running:
            await wait_until(lambda name=name: is_not(is_ready(stack, name)))
    began = monotonic()
    again = await student.order(lines_of(dish), key="m")
    assert again.status == 201
    assert monotonic() - began < WRITABLE_AGAIN_S
    for name in running:
        await wait_until(lambda name=name: is_ready(stack, name), timeout_s=WRITABLE_AGAIN_S)
    ordered = [placed.id for placed in (*before, order_in(again))]
    await stack.until_all_are(ordered, "READY", timeout_s=READY_AGAIN_S)
    assert errors_logged() == []
    assert await dead_letters(stack) == 0
    assert pids(stack) == running


async def is_not(condition: Any) -> bool:
    return not await condition


async def dead_letters(stack: "RunningStack") -> int:
    async with stack.database() as admin:
        schemas = [
            row[0]
            for row in await admin.fetch("SELECT schemaname FROM pg_tables WHERE tablename = 'dead_letters'")
        ]
        assert schemas
        return sum(
            [await admin.fetchval(f"SELECT count(*) FROM {schema}.dead_letters") for schema in schemas]  # noqa: S608 - a schema's name
        )


_TABLES = """
SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
WHERE schemaname = ANY($1) AND tablename <> 'alembic_version' ORDER BY 1
"""
_VERSIONS = """
SELECT quote_ident(table_schema) || '.' || quote_ident(table_name), quote_ident(column_name)
FROM information_schema.columns
WHERE table_schema = ANY($1) AND data_type = 'smallint' AND is_generated = 'NEVER' ORDER BY 1, 2
"""


async def test_while_tables_are_altered_no_answer_is_a_500_and_every_order_is_cooked(
    stack: "RunningStack", lines_of, order_in, errors_logged
) -> None:
    students = [await stack.student() for _ in range(4)]
    dish, altered = await stack.dish(2_000), asyncio.Event()
    placed: list[UUID] = []
    logins: set[int] = set()
    began_at, running = len(stack.history.exchanges), pids(stack)

    async def keep_ordering(student: Any) -> None:
        number = 0
        while not altered.is_set():
            number += 1
            order = order_in(await student.order(lines_of(dish), key=f"a{number}"))
            placed.append(order.id)
            await student.read(order.id)
            if number % 3 == 0:
                await student.cancel(order.id)
            logins.add((await log_in(stack, student))[0])

    for student in students:
        stack.follow(student)
    async with asyncio.TaskGroup() as group:
        for student in students:
            group.create_task(keep_ordering(student))
        while len(placed) < MANY_ORDERS:
            await alter_everything(stack)
        altered.set()
    meanwhile = stack.history.exchanges[began_at:]
    assert [each for each in meanwhile if each.status not in {200, 201, 202, 409, 503}] == []
    assert logins <= {200, 429, 503}
    await stack.until_all_are(placed, "READY", "CANCELLED")
    assert errors_logged() == []
    assert pids(stack) == running


async def alter_everything(stack: "RunningStack") -> None:
    """Add a column to every table and drop it again, and change types where the values still fit."""
    async with stack.database() as admin:
        await admin.execute("SET lock_timeout = '5s'")
        services, versions = list(SERVICES), await admin.fetch(_VERSIONS, list(SERVICES))
        for table in [row[0] for row in await admin.fetch(_TABLES, services)]:
            await admin.execute(f"ALTER TABLE {table} ADD COLUMN added_meanwhile text DEFAULT 'x'")
            await admin.execute(f"ALTER TABLE {table} DROP COLUMN added_meanwhile")
        for data_type in ("integer", "smallint"):
            for table, column in versions:
                await admin.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {data_type}")
