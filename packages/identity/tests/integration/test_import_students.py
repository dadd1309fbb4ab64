"""The command that creates the accounts of a file: all of them or none, and nothing without `--apply`."""

from __future__ import annotations

import asyncio
import csv
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.values import Role
from cafeteria.identity.domain import Profile
from cafeteria.identity.repository.import_students import NewAccount
from cafeteria.identity.use_cases.import_students import ImportStudents
from cafeteria.local_stack.child import Program
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Identity

HEADER = "student_id,full_name,role,password\n"
OWN_PASSWORD = "a-password-of-my-own"
COUNT = "SELECT count(*) FROM identity.users"


class Ended(NamedTuple):
    """How a run of the command ended."""

    code: int
    output: str


Import = Callable[..., Coroutine[Any, Any, Ended]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "students.csv"


@pytest.fixture
def environment(servers: FixtureServers, clean: None) -> dict[str, str]:
    """What the command needs of identity's environment: the database, and nothing else."""
    needed = ("CAFETERIA_POSTGRES_URL", "CAFETERIA_POSTGRES_PASSWORD_FILE")
    return {name: value for name, value in servers.environment("identity").items() if name in needed}


def command(file: Path, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "cafeteria.identity.import_students", str(file), *options)


async def started(file: Path, environment: dict[str, str], *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command(file, *options), env=environment, stdout=PIPE, stderr=PIPE
    )


@pytest.fixture
def run_import(
    file: Path,
    environment: dict[str, str],
    fork_server: ForkServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Import:
    async def run(text: str | bytes, *options: str, **variables: str) -> Ended:
        await asyncio.to_thread(file.write_bytes, text if isinstance(text, bytes) else text.encode())
        log = tmp_path_factory.mktemp("import") / "output"
        program = Program(argv=command(file, *options), env=environment | variables)
        child = await fork_server.start(program, log=log)
        return Ended(await child.wait(), await asyncio.to_thread(log.read_text))

    return run


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def one_time_passwords(path: Path) -> dict[str, str]:
    with path.open(newline="") as opened:
        return {row["student_id"]: row["one_time_password"] for row in csv.DictReader(opened)}


async def test_without_apply_it_tells_what_would_happen_and_changes_nothing(
    run_import: Import, identity: Identity, tmp_path: Path
) -> None:
    await identity.add_user()
    ended = await run_import(f"{HEADER}210041101,Ada,,\n210041102,Zoe,,\n210041103,Eva,,{OWN_PASSWORD}\n")
    assert ended.code == 0
    assert "line 2: 210041101 has an account already, which stays as it is" in ended.output
    assert (
        "To create: 2 accounts, of which 1 with a one-time password. There already: 1. Refused lines: 0."
        in ended.output
    )
    assert "Hashing the passwords takes about" in ended.output
    assert "Add --apply" in ended.output
    assert await identity.database.fetchval(COUNT) == 1
    assert names_in(tmp_path) == ["students.csv"]


async def test_with_apply_the_people_of_the_file_can_sign_in(
    run_import: Import, identity: Identity, tmp_path: Path
) -> None:
    ended = await run_import(
        f"{HEADER}210041101, Ada  Lovelace,,\nkitchen-2,,kitchen,{OWN_PASSWORD}\n", "--apply"
    )
    assert (ended.code, "Created: 2 accounts." in ended.output) == (0, True), ended.output
    written = tmp_path / "students.one-time-passwords.csv"
    assert str(written) in ended.output
    assert written.stat().st_mode & 0o777 == 0o600
    passwords = one_time_passwords(written)
    assert set(passwords) == {"210041101"}
    assert passwords["210041101"] not in ended.output
    assert OWN_PASSWORD not in ended.output
    first = await identity.login(password=passwords["210041101"])
    assert first.json()["type"] == "/problems/password-change-required"
    assert (
        await identity.login(password=passwords["210041101"], new_password="another-one-of-mine")
    ).status_code == 200
    signed_in = await identity.signed_in("kitchen-2", password=OWN_PASSWORD)
    me = await identity.web.get("/v1/me", headers={"Authorization": f"Bearer {signed_in['access_token']}"})
    assert me.json().items() >= {"student_id": "kitchen-2", "role": "kitchen", "full_name": None}.items()
    name = "SELECT full_name FROM identity.users WHERE student_id = '210041101'"
    assert await identity.database.fetchval(name) == "Ada Lovelace"


async def test_a_refused_line_refuses_the_whole_file(
    run_import: Import, identity: Identity, tmp_path: Path
) -> None:
    ended = await run_import(
        f"{HEADER}210041101,Ada,,\n210041101,Zoe,,\n210041103,Eva,king,\n210041104,Mia,,password1\n",
        "--apply",
    )
    assert ended.code == 1
    assert "line 3: refused: 210041101 is already in line 2" in ended.output
    assert "line 4: refused: the role must be" in ended.output
    assert "line 5: refused: the password cannot be used: it is one of the most used" in ended.output
    assert "No account was created." in ended.output
    assert await identity.database.fetchval(COUNT) == 0
    assert names_in(tmp_path) == ["students.csv"]


async def test_a_second_import_creates_what_is_new_and_keeps_the_earlier_passwords(
    run_import: Import, identity: Identity, tmp_path: Path
) -> None:
    first = f"{HEADER}210041101,Ada,,\n"
    assert (await run_import(first, "--apply")).code == 0
    written = tmp_path / "students.one-time-passwords.csv"
    kept = written.read_text()
    longer = f"{first}210041102,Zoe,,\n"
    refused = await run_import(longer, "--apply")
    assert (refused.code, "may have passwords that people still need" in refused.output) == (2, True)
    assert await identity.database.fetchval(COUNT) == 1
    other = tmp_path / "second.csv"
    assert (await run_import(longer, "--apply", "--passwords", str(other))).code == 0
    assert set(one_time_passwords(other)) == {"210041102"}
    assert written.read_text() == kept
    nothing = await run_import(longer, "--apply")
    assert (nothing.code, "There is nothing to import." in nothing.output) == (0, True)


async def test_passwords_that_cannot_be_written_create_no_account(
    run_import: Import, identity: Identity, tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "missing" / "passwords.csv")
    ended = await run_import(f"{HEADER}210041101,Ada,,\n", "--apply", "--passwords", nowhere)
    assert (ended.code, "cannot be written: No such file or directory" in ended.output) == (2, True)
    assert await identity.database.fetchval(COUNT) == 0


async def test_how_long_the_one_time_passwords_are_valid_is_an_option(
    run_import: Import, identity: Identity
) -> None:
    ended = await run_import(f"{HEADER}210041101,Ada,,\n", "--apply", "--valid-days", "3")
    assert ended.code == 0, ended.output
    days = "SELECT extract(epoch FROM one_time_until - created_at) / 86400 FROM identity.users"
    assert round(await identity.database.fetchval(days)) == 3
    assert (await run_import(HEADER, "--valid-days", "0")).code == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"student_id,full_name\n1,caf\xe9\n", "Line 2 has bytes that are not UTF-8"),
        (b"name\nAda\n", "`student_id` is missing"),
    ],
    ids=["latin-1", "columns"],
)
async def test_an_unreadable_file_is_a_sentence(run_import: Import, content: bytes, why: str) -> None:
    ended = await run_import(content, "--apply")
    assert (ended.code, why in ended.output) == (2, True), ended.output
    assert "Traceback" not in ended.output


async def test_a_missing_file_or_setting_is_a_sentence(file: Path, environment: dict[str, str]) -> None:
    for variables, why in (
        (environment, "cannot be read: No such file"),
        ({}, "CAFETERIA_POSTGRES_URL is not set"),
    ):
        process = await started(file, variables)
        output, errors = await process.communicate()
        assert process.returncode == 2
        assert why in errors.decode()
        assert b"Traceback" not in output + errors


async def test_a_database_that_does_not_answer_is_a_sentence(run_import: Import) -> None:
    ended = await run_import(
        f"{HEADER}210041101,Ada,,\n", "--apply", CAFETERIA_POSTGRES_URL="postgresql://127.0.0.1:1/cafeteria"
    )
    assert ended.code == 1
    assert "No account was created. Try again when it answers." in ended.output
    assert "Traceback" not in ended.output


async def test_an_account_that_somebody_else_creates_meanwhile_stays_as_it_is(
    run_import: Import, identity: Identity, tmp_path: Path
) -> None:
    """The other account commits after the command has looked which ids exist, and before it stores its own."""
    async with identity.database.transaction():
        await identity.add_user("210041101", full_name="Grace")
        running = asyncio.create_task(run_import(f"{HEADER}210041101,Ada,,\n210041102,Zoe,,\n", "--apply"))
        await identity.until_waiting(1, within_s=60)  # a process starts first
    ended = await running
    assert ended.code == 0
    assert "Created: 1 account." in ended.output
    assert "1 account was created by somebody else meanwhile" in ended.output
    assert set(one_time_passwords(tmp_path / "students.one-time-passwords.csv")) == {"210041102"}
    name = "SELECT full_name FROM identity.users WHERE student_id = '210041101'"
    assert await identity.database.fetchval(name) == "Grace"


async def test_ctrl_c_while_passwords_are_hashed_creates_no_account(
    file: Path, environment: dict[str, str], identity: Identity, tmp_path: Path
) -> None:
    lines = "".join(f"{250_000_000 + number},Student,,\n" for number in range(5_000))
    await asyncio.to_thread(file.write_text, HEADER + lines)
    process = await started(file, environment, "--apply")
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"Hashing" not in await process.stdout.readline():
            pass
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (130, b"Interrupted: no account was created.\n")
    assert await identity.database.fetchval(COUNT) == 0
    assert names_in(tmp_path) == ["students.csv"]


async def test_fifty_thousand_accounts_are_stored_in_one_transaction(
    database: Any, identity: Identity
) -> None:
    """Without the hashes, which take minutes."""

    def account(number: int) -> NewAccount:
        profile = Profile(student_id=str(250_000_000 + number), role=Role.STUDENT, full_name=None)
        return NewAccount(user_id=new_id(), profile=profile, password_hash="x", one_time_until=None)

    def refuse(_: set[str]) -> None:
        raise RuntimeError

    accounts = [account(number) for number in range(50_000)]
    with pytest.raises(RuntimeError):
        await ImportStudents(database)(accounts, before_commit=refuse)
    assert await identity.database.fetchval(COUNT) == 0
    assert len(await ImportStudents(database)(accounts, before_commit=lambda _: None)) == 50_000
    assert await identity.database.fetchval(COUNT) == 50_000
