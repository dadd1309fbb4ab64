"""A purge deletes expired refresh tokens and ended login windows, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.identity.use_cases import purge_logins
from cafeteria.identity.use_cases.purge_logins import PurgeLogins

if TYPE_CHECKING:
    from conftest import Identity


WINDOW = timedelta(seconds=60)


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

    await PurgeLogins(database, window=WINDOW).run()

    ends = await identity.database.fetch("SELECT expires_at FROM identity.refresh_tokens ORDER BY expires_at")
    assert [row["expires_at"] for row in ends] == [at + timedelta(hours=hours) for hours in (1, 2)]
    windows = await identity.database.fetch("SELECT student_id FROM identity.login_windows ORDER BY 1")
    assert [row["student_id"] for row in windows] == ["210040", "2100430"]


async def test_a_purge_keeps_the_audit(identity: Identity, database: Database) -> None:
    await identity.login("999999999")
    await PurgeLogins(database, window=timedelta(0)).run()
    assert await identity.database.fetchval("SELECT count(*) FROM identity.login_windows") == 0
    assert await identity.attempts() == [("999999999", "unknown_user", False)]
