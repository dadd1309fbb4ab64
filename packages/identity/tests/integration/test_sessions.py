"""The rows of sessions: which are opened, which end, and which ends the other services must still know."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.identity import LoginOutcome, Revocation
from cafeteria.identity.domain import (
    ACCESS_TOKEN_MARGIN,
    MAX_LIVE_SESSIONS,
    Attempt,
    LoginClient,
    LoginLimits,
    NewSession,
)
from cafeteria.identity.repository import log_in, sessions

if TYPE_CHECKING:
    from cafeteria.chassis.database.database import Database
    from conftest import Identity

NOW = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
STUDENT = "210041101"
HASH = "$argon2id$of-a-password"
ACCESS = timedelta(minutes=15)


def session_of(user_id: UUID, *, at: datetime = NOW) -> NewSession:
    session_id = new_id()
    return NewSession(
        password_hash=HASH,
        session_id=session_id,
        user_id=user_id,
        token_hash=session_id.bytes * 2,
        created_at=at,
        expires_at=at + timedelta(days=30),
        access_expires_at=at + ACCESS,
        client_ip="192.0.2.7",
        user_agent="Firefox",
    )


async def opened(database: Database, user_id: UUID, *, at: datetime = NOW) -> UUID:
    new = session_of(user_id, at=at)
    assert await open_session(database, new) is not None
    return new.session_id


async def open_session(database: Database, new: NewSession) -> list[UUID] | None:
    """Return the sessions above the limit that ended; None if none was opened."""
    attempt = Attempt(
        attempt_id=new_id(),
        user_id=new.user_id,
        student_id=STUDENT,
        client_ip=new.client_ip,
        attempted_at=new.created_at,
        response_time_ms=40,
        outcome=LoginOutcome.SUCCEEDED,
    )
    async with database.statement() as connection:
        return await log_in.open_session(connection, new, attempt, is_new_device=True)


async def ended(database: Database, user_id: UUID, *, now: datetime = NOW, **more: Any) -> list[UUID]:
    async with database.transaction() as connection:
        return sorted(await sessions.end_sessions(connection, user_id=user_id, now=now, **more))


async def revocations(
    database: Database, *, now: datetime = NOW, after: Revocation | None = None, limit: int = 10
) -> list[Revocation]:
    async with database.statement() as connection:
        return list(await sessions.read_revocations(connection, now=now, after=after, limit=limit))


async def test_all_live_sessions_of_one_user_end_but_the_kept_one(
    identity: Identity, database: Database
) -> None:
    ada, zoe = (
        await identity.add_user("210041101", password_hash=HASH),
        await identity.add_user("210041102", password_hash=HASH),
    )
    mine = [await opened(database, ada) for _ in range(3)]
    await opened(database, zoe)
    assert await ended(database, ada, keep=mine[1]) == [mine[0], mine[2]]
    assert await ended(database, ada, keep=mine[1]) == []
    assert await ended(database, ada) == [mine[1]]
    revoked = await identity.database.fetchval("SELECT count(revoked_at) FROM identity.refresh_tokens")
    assert revoked == 3


async def test_an_expired_session_ends_while_its_last_access_token_is_valid(
    identity: Identity, database: Database
) -> None:
    user_id = await identity.add_user(password_hash=HASH)
    session = await opened(database, user_id)
    last = NOW + timedelta(days=30) - timedelta(seconds=1) + ACCESS
    await identity.database.execute("UPDATE identity.refresh_tokens SET access_expires_at = $1", last)
    assert await ended(database, user_id, now=last + ACCESS_TOKEN_MARGIN) == []
    assert await ended(database, user_id, now=last) == [session]


async def test_an_end_is_a_revocation_until_the_last_access_token_has_expired(
    identity: Identity, database: Database
) -> None:
    user_id = await identity.add_user(password_hash=HASH)
    session, until = await opened(database, user_id), NOW + ACCESS + ACCESS_TOKEN_MARGIN
    assert await revocations(database) == []
    await ended(database, user_id)
    assert await revocations(database) == [Revocation(session=session, until=until)]
    assert await revocations(database, now=until - timedelta(seconds=1))
    assert await revocations(database, now=until) == []


async def test_revocations_are_read_in_pages(identity: Identity, database: Database) -> None:
    user_id = await identity.add_user(password_hash=HASH)
    opened_at = [NOW, NOW + timedelta(seconds=1), NOW + timedelta(seconds=1), NOW]
    expected = {await opened(database, user_id, at=at) for at in opened_at}
    await ended(database, user_id)
    read: list[Revocation] = []
    while page := await revocations(database, after=read[-1] if read else None, limit=1):
        read += page
    assert {each.session for each in read} == expected
    assert len(read) == len(expected)
    assert [each.until for each in read] == sorted(each.until for each in read)


async def test_the_oldest_session_above_the_limit_ends(identity: Identity, database: Database) -> None:
    user_id = await identity.add_user(password_hash=HASH)
    mine = [await opened(database, user_id) for _ in range(MAX_LIVE_SESSIONS)]
    assert [await open_session(database, session_of(user_id)) for _ in range(2)] == [mine[:1], mine[1:2]]
    assert len(await ended(database, user_id)) == MAX_LIVE_SESSIONS


async def test_a_device_that_becomes_known_gains_no_attempts(identity: Identity, database: Database) -> None:
    limits = LoginLimits(per_client=3, per_student=30, failures_per_client=60, window=timedelta(minutes=1))
    new = session_of(await identity.add_user(STUDENT, password_hash=HASH))

    async def is_allowed(device: UUID | None = None) -> bool:
        client = LoginClient(address=new.client_ip, device=device)
        async with database.statement() as connection:
            counted = await log_in.count_attempt(
                connection, student_id=STUDENT, client=client, limits=limits, now=NOW
            )
        return counted.refused_by is None

    assert [await is_allowed() for _ in range(2)] == [True, True]
    assert await open_session(database, new) == []
    assert [await is_allowed(new.session_id) for _ in range(2)] == [True, False]


async def test_no_session_is_opened_for_an_account_that_is_being_disabled(
    identity: Identity, database: Database
) -> None:
    """The login waits for the change of the account, and then sees it."""
    new = session_of(await identity.add_user(password_hash=HASH))

    async with identity.database.transaction():
        await identity.database.execute("UPDATE identity.users SET disabled_at = now()")
        opening = asyncio.ensure_future(open_session(database, new))
        await identity.until_waiting(1)
    assert await opening is None
    for table in ("refresh_tokens", "login_attempts"):
        assert await identity.database.fetchval(f"SELECT count(*) FROM identity.{table}") == 0  # noqa: S608


@pytest.mark.parametrize("column", ["client_ip", "user_agent", "last_used_at", "access_expires_at"])
async def test_only_the_first_token_carries_the_session(
    identity: Identity, database: Database, column: str
) -> None:
    await opened(database, await identity.add_user(password_hash=HASH))
    value = "'192.0.2.1'" if column == "client_ip" else "now()::text" if column == "user_agent" else "now()"
    with pytest.raises(asyncpg.CheckViolationError, match="session_on_first"):
        await identity.database.execute(
            "INSERT INTO identity.refresh_tokens"  # noqa: S608 - the names and values of this test
            f" (id, family, user_id, token_hash, created_at, expires_at, {column})"
            f" SELECT uuidv7(), family, user_id, sha256('x'), created_at, expires_at, {value}"
            " FROM identity.refresh_tokens"
        )
