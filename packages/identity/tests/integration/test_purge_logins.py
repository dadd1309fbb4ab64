"""A purge deletes expired refresh tokens and ended login windows, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.identity.use_cases import purge_logins
from cafeteria.identity.use_cases.purge_logins import PurgeLogins
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import Identity


WINDOW = timedelta(seconds=60)
IDLE = timedelta(days=7)


async def test_a_purge_deletes_in_batches_what_has_ended(
    identity: Identity, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge_logins, "BATCH_ROWS", 2)
    user_id = await identity.add_user()
    at = datetime.now(UTC)
    for hours in (-3, -2, -1, 1, 2):
        token_id = new_id()
        await identity.database.execute(
            "INSERT INTO identity.refresh_tokens (id, family, user_id, token_hash, created_at, expires_at)"
            " VALUES ($1, $1, $2, sha256($3), $4, $5)",
            token_id,
            user_id,
            token_id.bytes,
            at - timedelta(days=1),
            at + timedelta(hours=hours),
        )
    for seconds in (0, 30, 61, 3600):
        await identity.database.execute(
            "INSERT INTO identity.login_windows VALUES ($1, $2, 1, $2, '{}')",
            f"21004{seconds}",
            at - timedelta(seconds=seconds),
        )

    await PurgeLogins(database, window=WINDOW, session_idle=IDLE).run()

    ends = await identity.database.fetch("SELECT expires_at FROM identity.refresh_tokens ORDER BY expires_at")
    assert [row["expires_at"] for row in ends] == [at + timedelta(hours=hours) for hours in (1, 2)]
    windows = await identity.database.fetch("SELECT student_id FROM identity.login_windows ORDER BY 1")
    assert [row["student_id"] for row in windows] == ["210040", "2100430"]


async def test_a_purge_keeps_the_audit(identity: Identity, database: Database) -> None:
    await identity.login("999999999")
    await PurgeLogins(database, window=timedelta(0), session_idle=IDLE).run()
    assert await identity.database.fetchval("SELECT count(*) FROM identity.login_windows") == 0
    assert await identity.attempts() == [("999999999", "unknown_user", False)]


async def add_session(
    identity: Identity, user_id: UUID, *, unused_days: float, tokens: int, access_ends_in_s: float = -3600
) -> None:
    session, at = new_id(), datetime.now(UTC)
    for number in range(tokens):
        token = session if number == 0 else new_id()
        is_first = number == 0
        await identity.database.execute(
            "INSERT INTO identity.refresh_tokens"
            " (id, family, user_id, token_hash, created_at, expires_at, last_used_at, access_expires_at)"
            " VALUES ($1, $2, $3, sha256($4), $5, $6, $7, $8)",
            *(token, session, user_id, token.bytes, at - timedelta(days=20), at + timedelta(days=10)),
            at - timedelta(days=unused_days) if is_first else None,
            at + timedelta(seconds=access_ends_in_s) if is_first else None,
        )


async def test_a_purge_deletes_sessions_that_were_not_used_for_long_with_all_their_tokens(
    identity: Identity, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge_logins, "BATCH_ROWS", 2)
    user_id = await identity.add_user()
    await add_session(identity, user_id, unused_days=8, tokens=5)
    await add_session(identity, user_id, unused_days=7.01, tokens=1)
    await add_session(identity, user_id, unused_days=6.99, tokens=3)

    await until(lambda: leaves_rows(identity, database, 3))
    assert await identity.database.fetchval("SELECT count(DISTINCT family) FROM identity.refresh_tokens") == 1


async def leaves_rows(identity: Identity, database: Database, number: int) -> bool:
    """Whether a purge leaves so many; the service's own one, at its start, may hold some rows for a moment."""
    await PurgeLogins(database, window=WINDOW, session_idle=IDLE).run()
    return bool(await identity.database.fetchval("SELECT count(*) FROM identity.refresh_tokens") == number)


@pytest.mark.parametrize(("end", "rows"), [("expired", 1), ("unused", 2)])
async def test_a_purge_keeps_a_session_whose_access_token_may_still_be_valid(
    identity: Identity, database: Database, end: str, rows: int
) -> None:
    """Otherwise an end of the session would be forgotten, and its access token accepted again."""
    user_id = await identity.add_user()
    for access_ends_in_s in (-61, -20):
        await add_session(identity, user_id, unused_days=8, tokens=2, access_ends_in_s=access_ends_in_s)
    if end == "expired":
        await identity.database.execute(
            "UPDATE identity.refresh_tokens SET expires_at = expires_at - interval '10 days',"
            " last_used_at = CASE WHEN id = family THEN now() END"
        )
    await identity.database.execute("UPDATE identity.refresh_tokens SET revoked_at = now() WHERE id = family")

    await until(lambda: leaves_rows(identity, database, rows))
    kept = await identity.database.fetchval("SELECT count(*) FROM identity.refresh_tokens WHERE id = family")
    assert kept == 1
