"""The statement that counts login attempts, at times that a test chooses."""

from datetime import UTC, datetime, timedelta

from cafeteria.chassis.database.database import Database
from cafeteria.identity.domain import LoginLimits
from cafeteria.identity.repository import log_in

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = LoginLimits(per_client=3, per_student=5, window=timedelta(seconds=60))
HERE, THERE = "127.0.0.1", "127.0.0.2"


async def count(database: Database, second: float, client: str | None = HERE) -> bool:
    async with database.statement() as connection:
        counted = await log_in.count_attempt(
            connection,
            student_id="210041101",
            client=client,
            limits=LIMITS,
            now=NOON + timedelta(seconds=second),
        )
    return counted.is_allowed


async def test_a_window_begins_with_its_first_attempt(database: Database) -> None:
    assert [await count(database, second) for second in (0, 1, 50, 51, 59.9)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [await count(database, second) for second in (60, 61, 62, 63)] == [True, True, True, False]
    assert await count(database, 120)


async def test_refused_attempts_prolong_nothing(database: Database) -> None:
    for second in range(60):
        await count(database, second)
    assert await count(database, 60)


async def test_an_attempt_that_one_limit_refuses_is_not_counted_by_the_other(database: Database) -> None:
    for _ in range(10):
        await count(database, 0)
    assert [await count(database, 1, THERE) for _ in range(3)] == [True, True, False]


async def test_the_window_of_a_client_may_end_after_that_of_the_student_id(database: Database) -> None:
    assert await count(database, 0)
    assert [await count(database, 59, THERE) for _ in range(3)] == [True] * 3
    assert not await count(database, 61, THERE)
    assert await count(database, 61, HERE)


async def test_ended_windows_of_clients_are_dropped(database: Database) -> None:
    for minute in range(5):
        await count(database, 60 * minute, f"127.0.0.{minute}")
    async with database.statement() as connection:
        clients = (
            await connection.exec_driver_sql("SELECT clients FROM identity.login_windows")
        ).scalar_one()
    assert set(clients) == {"127.0.0.4"}


async def test_clients_without_an_address_share_a_window(database: Database) -> None:
    assert [await count(database, 0, None) for _ in range(4)] == [True, True, True, False]
