"""Creates and starts the embedded Postgres, which listens on 127.0.0.1 only; every start writes its settings."""

import asyncio
import logging
import os
import shutil
import signal
import tempfile
from pathlib import Path

import asyncpg
import psutil

from cafeteria.local_stack import ownership, ports, system_user
from cafeteria.local_stack.binaries import (
    POSTGRES_MAJOR,
    PostgresPrograms,
    make_passable,
    postgres_programs,
)
from cafeteria.local_stack.child import Child, Program
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.polling import is_true_within
from cafeteria.local_stack.postgres_settings import render_settings, shared_memory_type
from cafeteria.provisioning.administrator import connect
from cafeteria.provisioning.credentials import ADMIN, Credentials
from cafeteria.provisioning.errors import SettingError, StackError
from cafeteria.provisioning.private_files import write_private
from cafeteria.provisioning.targets import DATABASE, SUPERUSER

OLD_SERVER_TIMEOUT_S = 10.0  # after its supervisor was killed, the old server is still shutting down
POLL_S = 0.05
_PORT_LINE = 3  # of postmaster.pid: the pid, the folder, the start, the port
logger = logging.getLogger(__name__)


_ACCESS = """\
# Every role needs a password, the administrator too; only this machine can connect.
host all all 127.0.0.1/32 scram-sha-256
"""


class PostgresServer:
    """The data folder, settings and start command of one server."""

    def __init__(self, *, home: DataDirectory, credentials: Credentials, port: int) -> None:
        self.port = port
        self._home = home
        self._credentials = credentials
        self._account = system_user.postgres_account(home.postgres)
        self._programs: PostgresPrograms | None = None

    @property
    def address(self) -> str:
        """The URL for services, without credentials."""
        return f"postgresql://{ports.HOST}:{self.port}/{DATABASE}"

    @property
    def admin_url(self) -> str:
        password = self._credentials.postgres_password(ADMIN)
        return f"postgresql://{SUPERUSER}:{password}@{ports.HOST}:{self.port}/{DATABASE}"

    async def prepare(self) -> None:
        """Create the data folder unless it exists, and write the settings. Raises `StackError`."""
        self._programs = await asyncio.to_thread(
            postgres_programs, self._account, cache=system_user.SYSTEM_CACHE
        )
        data = self._home.postgres
        if not data.exists():
            self._make_folder()
        self._require_reachable(data.resolve())
        if not (data / "PG_VERSION").exists():
            await self._initialise(self._programs, data.resolve())
        self._refuse_other_version()
        await self._wait_for_old_server()
        self._write("cafeteria.conf", render_settings(data / "postgresql.conf", port=self.port))
        self._write("pg_hba.conf", _ACCESS)
        write_private(self._home.database_record, f"{data.resolve()}\n")

    def program(self) -> Program:
        if self._programs is None:
            raise StackError("`prepare` must run before Postgres starts.")
        data = self._home.postgres.resolve()
        return Program(
            argv=(
                *(self._programs.postgres, "-D", str(data)),
                *("-c", f"config_file={data / 'cafeteria.conf'}"),
            ),
            env=_environment(),
            account=self._account,
            own_group=True,
            stop_signal=signal.SIGINT,  # fast shutdown: end all sessions, write a checkpoint, end
            death_signal=signal.SIGINT,
        )

    async def is_ready(self) -> bool:
        """Whether it accepts logins. Raises `StackError` if it refuses the administrator's password."""
        try:
            connection = await connect(self.admin_url, database="postgres", timeout=1)
        except asyncpg.InvalidPasswordError:
            raise StackError(
                f"The database in {self._home.postgres} was created with other secrets than those in "
                f"{self._credentials.folder}: restore them, or remove both with `just reset`."
            ) from None
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    def _make_folder(self) -> None:
        """Create it in the data directory, or link it from there if Postgres' user cannot reach that."""
        if self._account.can_reach(self._home.root):
            ownership.claim(self._home.postgres)
            return
        reachable = _reachable_folder(self._home.root, self._account)
        outside = Path(tempfile.mkdtemp(prefix=ownership.PLACE_PREFIX, dir=reachable))
        data = outside / ownership.PLACE_DATA
        ownership.claim(data)
        self._account.own(outside)
        self._home.postgres.symlink_to(data)

    def _require_reachable(self, data: Path) -> None:
        if not self._account.can_reach(data.parent):
            raise SettingError(
                f"Postgres runs as another user than root, who may not enter {data.parent}: let other users enter it "
                f"(`chmod a+x`), or link {self._home.postgres} to another folder."
            )

    async def _initialise(self, programs: PostgresPrograms, data: Path) -> None:
        """Create the database in the stack's folder, and first remove the rest of an unfinished attempt.

        It creates the database in a draft folder and moves it, PG_VERSION last: a database without that file was never
        used.
        """
        ownership.remove_content(data, "postgres")
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=data))
        try:
            for path in (data, data / ownership.MARKER, draft):
                self._account.own(path)
            await self._initdb(programs, draft)
            await asyncio.to_thread(_move_up, draft / "data", data)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    async def _initdb(self, programs: PostgresPrograms, draft: Path) -> None:
        data, secret = draft / "data", draft / "password"
        data.mkdir(mode=0o700)
        secret.touch(mode=0o600)
        secret.write_text(self._credentials.postgres_password(ADMIN))
        for path in (data, secret):
            self._account.own(path)
        argv = (
            *(programs.initdb, "--pgdata", str(data), "--username", SUPERUSER, "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"),
            *("--set", f"dynamic_shared_memory_type={shared_memory_type()}"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
            *(("--no-sync",) if self._home.is_temporary else ()),
        )
        log = self._home.logs / "initdb.log"
        program = Program(argv=argv, env=_environment(), account=self._account, own_group=True, cwd=draft)
        child = await Child.start(program, log=log)
        if await child.wait() != 0:
            raise StackError(f"Postgres could not create its data folder: the end of {log} says why.")

    def _refuse_other_version(self) -> None:
        found = (self._home.postgres / "PG_VERSION").read_text().strip()
        if found != POSTGRES_MAJOR:
            raise StackError(
                f"The data in {self._home.postgres} is from Postgres {found}, but this is Postgres "
                f"{POSTGRES_MAJOR}, so it stays as it is: move it away to keep it, or remove it with `just reset`."
            )

    async def _wait_for_old_server(self) -> None:
        """Wait until the old server and its sessions have ended, and remove a stale pid file.

        The sessions of a killed server outlive it for a moment, and no other server can start until they end.
        """
        pid_file = self._home.postgres / "postmaster.pid"
        user: str | None = None

        def has_ended() -> bool:
            nonlocal user
            user = _user_of(pid_file)
            return user is None

        if not await is_true_within(OLD_SERVER_TIMEOUT_S, has_ended, poll_s=POLL_S):
            raise StackError(f"{user} still uses {self._home.postgres}: stop it first.")
        if pid_file.exists():
            logger.warning(
                "Postgres did not shut down properly the last time: its stale pid file is removed, and it recovers its data."
            )
            pid_file.unlink()

    def _write(self, name: str, content: str) -> None:
        path = self._home.postgres / name
        write_private(path, content)
        self._account.own(path)


def _reachable_folder(home: Path, account: system_user.SystemUser) -> Path:
    """Return a folder outside a private data directory: a temporary one for a temporary data directory."""
    temporary = Path(tempfile.gettempdir()).resolve()  # on macOS the name is a link
    if home.resolve().is_relative_to(temporary) and account.can_reach(temporary):
        return temporary
    make_passable(system_user.SYSTEM_DATA)
    return system_user.SYSTEM_DATA


def _move_up(draft: Path, data: Path) -> None:
    """Move the database into its folder, PG_VERSION last: even after a power cut that file implies the others."""
    version = draft / "PG_VERSION"
    for entry in (*(each for each in draft.iterdir() if each != version), version):
        if entry == version:
            _flush(data)
        entry.rename(data / entry.name)
    _flush(data)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _user_of(pid_file: Path) -> str | None:
    """Return what still uses this data, as the subject of a sentence, or None."""
    if (pid := _server_pid(pid_file)) is not None:
        return f"Another Postgres (process {pid})"
    if pid_file.exists() and _has_sessions(pid_file.parent):
        return "A session of a Postgres that was killed"
    return None


def _has_sessions(data: Path) -> bool:
    """Whether a process of Postgres still has this working folder, and so the server's shared memory."""
    servers = (process for process in psutil.process_iter(["name"]) if process.info["name"] == "postgres")
    return any(_works_in(process, data) for process in servers)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return folder.samefile(process.cwd())
    except (OSError, psutil.Error):  # the process has ended or belongs to another user
        return False


def running_port(data: Path) -> int | None:
    """Return the port of the server that runs on this data, or None."""
    pid_file = data / "postmaster.pid"
    if _server_pid(pid_file) is None:
        return None
    lines = pid_file.read_text().splitlines()
    return int(lines[_PORT_LINE]) if len(lines) > _PORT_LINE else None


def _server_pid(pid_file: Path) -> int | None:
    """Return the pid in the pid file if it is a Postgres: after a reboot it may be another process."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        name = psutil.Process(pid).name()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if name == "postgres" else None


def _environment() -> dict[str, str]:
    """Return an environment without the caller's variables, such as PGDATA."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
