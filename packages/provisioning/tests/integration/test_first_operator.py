"""The first operator is created by a command, while no service runs, and no second one by accident."""

import asyncio
import io
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from cafeteria.identity.password_hashing import is_password_of
from cafeteria.provisioning import demo_data
from cafeteria.provisioning.bootstrap import main, prepare_database
from cafeteria.provisioning.demo_data import published_accounts
from cafeteria.provisioning.errors import StackError
from cafeteria.provisioning.first_operator import make_operator
from cafeteria.testkit.servers import FixtureServers

OWN_PASSWORD = "a-password-of-my-own"
ONE_TIME = re.compile(r"one-time password is ([a-z2-9-]{19}) ")
INSERT_SESSION = """
INSERT INTO identity.refresh_tokens (id, family, user_id, token_hash, created_at, expires_at)
SELECT uuidv7(), uuidv7(), id, sha256('x'), now(), now() + interval '1 day' FROM identity.users"""


class Ended(NamedTuple):
    """How a run of the command ended."""

    code: int
    output: str
    errors: str


Run = Callable[..., Awaitable[Ended]]


@pytest.fixture
def run(
    servers: FixtureServers, clean: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run the command in a thread: a process would import everything again."""
    monkeypatch.setenv("CAFETERIA_SECRETS_DIR", str(servers.credentials.folder))
    monkeypatch.setenv("CAFETERIA_POSTGRES_URL", servers.postgres_url)
    monkeypatch.setenv("CAFETERIA_NATS_URL", "nats://127.0.0.1:1")  # nothing is there: the database is enough

    async def run(*arguments: str, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = await asyncio.to_thread(main, arguments)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
async def database(servers: FixtureServers, clean: None) -> AsyncIterator[asyncpg.Connection]:
    async with servers.database_as_admin() as connection:
        yield connection


async def user(database: asyncpg.Connection, student_id: str = "chief-1") -> Any:
    return await database.fetchrow("SELECT * FROM identity.users WHERE student_id = $1", student_id)


async def test_without_a_password_one_is_made_and_shown_once(run: Run, database: asyncpg.Connection) -> None:
    ended = await run("--operator", "chief-1")
    assert ended.code == 0, ended.errors
    found = ONE_TIME.search(ended.output)
    assert found
    assert found[1] not in ended.errors
    row = await user(database)
    assert is_password_of(found[1], row["password_hash"])
    assert (row["role"], row["disabled_at"]) == ("operator", None)
    assert 23 < (row["one_time_until"] - datetime.now(UTC)).total_seconds() / 3600 <= 24


async def test_a_password_comes_from_a_file_or_the_standard_input_and_is_never_shown(
    run: Run, database: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(f"{OWN_PASSWORD}\n")
    first = await run("--operator", "chief-1", "--password-file", str(tmp_path / "password"))
    second = await run(
        "--operator", "chief-2", "--password-file", "-", "--force", stdin=f"{OWN_PASSWORD}\r\n"
    )
    for ended, student_id in ((first, "chief-1"), (second, "chief-2")):
        assert ended.code == 0, ended.errors
        assert OWN_PASSWORD not in ended.output + ended.errors
        row = await user(database, student_id)
        assert is_password_of(OWN_PASSWORD, row["password_hash"])
        assert row["one_time_until"] is None


async def test_a_second_operator_needs_force(run: Run, database: asyncpg.Connection) -> None:
    assert (await run("--operator", "chief-1")).code == 0
    refused = await run("--operator", "chief-2")
    assert (refused.code, refused.output) == (1, "")
    assert "There is an enabled operator already" in refused.errors
    assert "--force" in refused.errors
    assert "Traceback" not in refused.errors
    assert await user(database, "chief-2") is None
    assert (await run("--operator", "chief-2", "--force")).code == 0


async def test_force_gives_a_lost_operator_a_new_password_and_ends_the_sessions(
    run: Run, database: asyncpg.Connection
) -> None:
    assert (await run("--operator", "chief-1")).code == 0
    before = await user(database)
    await database.execute("UPDATE identity.users SET role = 'student', disabled_at = now()")
    await database.execute(INSERT_SESSION)
    await database.execute("UPDATE identity.refresh_tokens SET family = id")
    refused = await run("--operator", "chief-1")
    assert (refused.code, "is taken" in refused.errors) == (1, True)
    assert (await run("--operator", "chief-1", "--force")).code == 0
    after = await user(database)
    assert (after["id"], after["role"], after["disabled_at"]) == (before["id"], "operator", None)
    assert after["password_hash"] != before["password_hash"]
    assert (
        await database.fetchval("SELECT count(*) FROM identity.refresh_tokens WHERE revoked_at IS NULL") == 0
    )


async def test_of_two_commands_at_once_one_creates_the_operator(
    servers: FixtureServers, database: asyncpg.Connection
) -> None:
    names = [f"chief-{number}" for number in range(4)]
    made = await asyncio.gather(
        *(make_operator(servers.targets(), name, password=None, is_forced=False) for name in names),
        return_exceptions=True,
    )
    assert sum(not isinstance(each, StackError) for each in made) == 1
    assert await database.fetchval("SELECT count(*) FROM identity.users") == 1


async def test_an_unusable_id_or_password_is_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for arguments, stdin, why in (
        (("no spaces",), "", "letters, digits and hyphens"),
        (("chief-1", "--password-file", "-"), "password\n", "one of the most used passwords"),
        (("chief-1", "--password-file", "-"), "chief-1!\n", "it is the student id"),
        (("chief-1", "--password-file", str(tmp_path / "nothing")), "", "cannot be read"),
        (("chief-1", "--password-file", str(tmp_path / "empty")), "", "first line is empty"),
    ):
        ended = await run("--operator", *arguments, stdin=stdin)
        assert (ended.code, ended.output) == (2, ""), why
        assert why in ended.errors
        assert "Traceback" not in ended.errors


async def test_a_bootstrap_without_demo_data_warns_of_its_published_password(
    servers: FixtureServers, database: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A database of version 0.1 has these accounts."""
    url = servers.targets().postgres_url
    assert await published_accounts(url) == []
    await demo_data.ensure_demo_data(url)
    assert await published_accounts(url) == ["kitchen-1", "operator-1"]
    await database.execute("UPDATE identity.users SET disabled_at = now() WHERE student_id = 'kitchen-1'")
    assert await published_accounts(url) == ["operator-1"]
    await prepare_database(replace(servers.targets(), with_demo_data=False))
    assert "operator-1 can sign in with the published password" in caplog.text
