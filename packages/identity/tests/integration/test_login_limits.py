"""The statement that counts login attempts, at times that a test chooses."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.identity import LoginOutcome
from cafeteria.identity.domain import Attempt, LoginClient, LoginLimits, LoginWindow, retry_after_s
from cafeteria.identity.errors import LoginLimit
from cafeteria.identity.repository import log_in
from cafeteria.identity.repository.log_in import CountedAttempt

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = LoginLimits(per_client=3, per_student=30, failures_per_client=60, window=timedelta(seconds=60))
STUDENT = "210041101"
HERE, THERE = "127.0.0.1", "127.0.0.2"
DEVICE = UUID(int=1)


async def attempt(
    database: Database,
    second: float,
    client: str | None = HERE,
    *,
    student_id: str = STUDENT,
    device: UUID | None = None,
    refresh_token: str | None = None,
) -> CountedAttempt:
    async with database.statement() as connection:
        return await log_in.count_attempt(
            connection,
            student_id=student_id,
            client=LoginClient(address=client, device=device, refresh_token=refresh_token),
            limits=LIMITS,
            now=NOON + timedelta(seconds=second),
        )


async def count(database: Database, second: float, client: str | None = HERE, **more: Any) -> bool:
    return (await attempt(database, second, client, **more)).refused_by is None


async def end(
    database: Database,
    second: float,
    counted: CountedAttempt,
    client: str = HERE,
    *,
    student_id: str = STUDENT,
    outcome: LoginOutcome = LoginOutcome.WRONG_PASSWORD,
) -> LoginWindow | None:
    ended = Attempt(
        attempt_id=new_id(),
        user_id=None,
        student_id=student_id,
        client_ip=client,
        attempted_at=NOON + timedelta(seconds=second),
        response_time_ms=40,
        outcome=outcome,
    )
    async with database.statement() as connection:
        return await log_in.record_attempt(connection, ended, counted, limits=LIMITS, now=ended.attempted_at)


async def fail(database: Database, second: float, client: str = HERE, *, student_id: str) -> bool:
    """Try a wrong password; return whether it was judged."""
    counted = await attempt(database, second, client, student_id=student_id)
    return counted.refused_by is None and not await end(
        database, second, counted, client, student_id=student_id
    )


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
    for number in range(9):
        for _ in range(5):
            await count(database, 0, f"127.0.1.{number}")
    assert [await count(database, 1, HERE) for _ in range(2)] == [True, True]
    assert [await count(database, 1, THERE) for _ in range(2)] == [True, False]


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


async def test_an_ipv6_network_is_one_client(database: Database) -> None:
    neighbours = [f"2001:db8:0:7:{number:x}::1" for number in range(4)]
    assert [await count(database, 0, address) for address in neighbours] == [True, True, True, False]
    assert await count(database, 0, "2001:db8:0:8::1")


async def test_ten_addresses_that_guess_do_not_lock_out_a_known_device(database: Database) -> None:
    """One right login every 20 s for 33 minutes, while each address uses all its guesses: 98 of 98 from a known device, none from a new one."""
    attackers = [f"203.0.113.{number}" for number in range(10)]
    known = unknown = 0
    for number in range(98):
        second = 20 * number
        for attacker in attackers:
            for _ in range(3):
                await count(database, second, attacker)
        known += await count(database, second, device=DEVICE)
        unknown += await count(database, second, THERE)
    assert (known, unknown) == (98, 0)


async def test_a_device_has_three_attempts_a_minute_wherever_its_copies_are(database: Database) -> None:
    clients = [f"203.0.113.{number}" for number in range(10)]
    allowed = [await count(database, 0, client, device=DEVICE) for client in clients]
    assert allowed == [True] * 3 + [False] * 7
    refused = await attempt(database, 30, device=DEVICE)
    assert refused.refused_by is LoginLimit.DEVICE
    window = await end(database, 30, refused, outcome=LoginOutcome.THROTTLED)
    assert window is not None
    assert retry_after_s(window, LIMITS, now=NOON + timedelta(seconds=30)) == 30
    assert await count(database, 60, device=DEVICE)
    assert await count(database, 0, device=UUID(int=2))


async def test_a_known_device_uses_no_attempt_of_others(database: Database) -> None:
    for number in range(40):
        await count(database, 0, device=UUID(int=number))
    assert [await count(database, 0) for _ in range(4)] == [True, True, True, False]


async def test_a_network_has_sixty_failures_a_minute_over_all_student_ids(database: Database) -> None:
    judged = [await fail(database, number / 2, student_id=f"invented-{number}") for number in range(70)]
    assert judged == [True] * 60 + [False] * 10
    refused = await attempt(database, 40, student_id="210041199")
    assert refused.refused_by is LoginLimit.NETWORK
    window = await end(database, 40, refused, student_id="210041199", outcome=LoginOutcome.THROTTLED)
    assert window is not None
    assert retry_after_s(window, LIMITS, now=NOON + timedelta(seconds=40)) == 20
    assert await count(database, 40, THERE, student_id="210041199")
    assert await count(database, 40, device=DEVICE)
    assert await fail(database, 60, student_id="210041199")


async def test_right_passwords_and_refused_attempts_are_no_failures_of_their_network(
    database: Database,
) -> None:
    for number in range(100):
        counted = await attempt(database, 0, student_id=f"student-{number}")
        outcome = LoginOutcome.THROTTLED if number % 2 else LoginOutcome.SUCCEEDED
        await end(database, 0, counted, student_id=f"student-{number}", outcome=outcome)
    assert await fail(database, 1, student_id="student-x")


async def test_failures_of_a_known_device_do_not_count_for_its_network(database: Database) -> None:
    for number in range(70):
        counted = await attempt(database, 0, student_id=f"student-{number}", device=UUID(int=number))
        assert await end(database, 0, counted, student_id=f"student-{number}") is None
    assert await fail(database, 0, student_id="student-x")


async def test_of_simultaneous_failures_no_more_than_the_limit_are_answered_as_such(
    database: Database,
) -> None:
    """All are counted before the first of them has failed."""
    ids = [f"invented-{number}" for number in range(65)]
    begun = [await attempt(database, 0, student_id=each) for each in ids]
    windows = [
        await end(database, 1, counted, student_id=each) for each, counted in zip(ids, begun, strict=True)
    ]
    assert [window is None for window in windows] == [True] * 60 + [False] * 5
