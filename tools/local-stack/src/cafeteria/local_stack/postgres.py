"""The embedded Postgres: made once, started on 127.0.0.1 alone, its settings written anew at every start.

An acknowledged COMMIT is on disk: fsync and synchronous_commit stay on, also here.
"""

import asyncio
import logging
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import asyncpg
import psutil

from cafeteria.local_stack import accounts, ports
from cafeteria.local_stack.binaries import POSTGRES_MAJOR, PostgresPrograms, postgres_programs
from cafeteria.local_stack.child import Child, Program
from cafeteria.local_stack.credentials import ADMIN, Credentials
from cafeteria.local_stack.errors import StackError
from cafeteria.local_stack.home import Home

SUPERUSER = "postgres"
DATABASE = "cafeteria"
START_TIMEOUT_S = 30.0  # recovery after a kill replays what the last checkpoint did not cover
OLD_SERVER_TIMEOUT_S = 10.0  # one whose supervisor was killed is still shutting down
POLL_S = 0.05
logger = logging.getLogger(__name__)

_DRAFT = ".postgres-draft-"
_PID_FILE_MEMORY = 6  # the line of key and number of its shared memory: LOCK_FILE_LINE_SHMEM_KEY in pidfile.h
_SHARED_MEMORY = Path("/proc/sysvipc/shm")  # key, number, …, and in the seventh column how many are attached

SETTINGS = {
    "unix_socket_directories": "''",  # loopback TCP with a password is the one way in
    "password_encryption": "'scram-sha-256'",
    "max_connections": "100",  # five services, two replicas each, eight connections and a relay's lock
    "shared_buffers": "'256MB'",  # a day's orders stay in memory; more buys nothing here
    "effective_cache_size": "'1GB'",  # what the system's cache holds beside it on a small machine
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "'2GB'",  # a rush writes much: fewer checkpoints in it
    "checkpoint_timeout": "'10min'",
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than these short statements take
    "max_parallel_workers_per_gather": "0",  # the same: no query here is worth starting processes
    "autovacuum_naptime": "'15s'",  # outbox and inventory rows die by the thousand; a minute is long
    "idle_in_transaction_session_timeout": "'60s'",  # a frozen client cannot hold its locks for ever
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m %q%u '",
    "log_parameter_max_length": "0",  # statements may be logged, the values in them never
    "log_parameter_max_length_on_error": "0",
}

_ACCESS = """\
# Everybody shows a password, administrators too; nobody comes from elsewhere.
host all all 127.0.0.1/32 scram-sha-256
"""


class PostgresServer:
    """Data folder, settings and start command of one server."""

    def __init__(self, *, home: Home, credentials: Credentials, port: int) -> None:
        self.port = port
        self._home = home
        self._credentials = credentials
        self._account = accounts.postgres_account(home.postgres)
        self._programs: PostgresPrograms | None = None

    @property
    def address(self) -> str:
        """For services: without credentials."""
        return f"postgresql://{ports.HOST}:{self.port}/{DATABASE}"

    @property
    def admin_url(self) -> str:
        password = self._credentials.postgres_password(ADMIN)
        return f"postgresql://{SUPERUSER}:{password}@{ports.HOST}:{self.port}/{DATABASE}"

    async def prepare(self) -> None:
        """Make the data folder unless it is there, and write the settings. Raises `StackError`."""
        self._programs = await asyncio.to_thread(
            postgres_programs, self._account, cache=accounts.SYSTEM_CACHE
        )
        data = self._home.postgres
        if not (data / "PG_VERSION").exists():
            await self._initialise(self._programs)
        self._refuse_other_version()
        await self._outlive_old_server()
        self._write("cafeteria.conf", _settings(self.port))
        self._write("pg_hba.conf", _ACCESS)

    def program(self) -> Program:
        if self._programs is None:
            raise StackError("Postgres is started before it is prepared.")
        data = self._home.postgres.resolve()
        return Program(
            argv=(
                *(self._programs.postgres, "-D", str(data)),
                *("-c", f"config_file={data / 'cafeteria.conf'}"),
            ),
            env=_environment(),
            account=self._account,
            own_group=True,
            stop_signal=signal.SIGINT,  # end all sessions, write a checkpoint, end
            death_signal=signal.SIGINT,
        )

    async def wait_ready(self, child: Child, *, log: Path) -> None:
        """Return once it takes logins. Raises `StackError` when it ended or takes too long."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await self._answers():
            if child.exit_code is not None:
                raise StackError(f"Postgres ended while it started: the end of {log} says why.")
            if time.monotonic() > deadline:
                raise StackError(f"Postgres did not answer within {START_TIMEOUT_S:.0f} s: see {log}.")
            await asyncio.sleep(POLL_S)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(
                host=ports.HOST,
                port=self.port,
                user=SUPERUSER,
                password=self._credentials.postgres_password(ADMIN),
                database="postgres",
                timeout=1,
                ssl=False,
            )
        except asyncpg.InvalidPasswordError:
            raise StackError(
                f"The database in {self._home.postgres} was made with other secrets than those in "
                f"{self._credentials.folder}: restore them, or wipe both with `just reset`."
            ) from None
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    async def _initialise(self, programs: PostgresPrograms) -> None:
        home = self._home.root
        if self._account.can_reach(home):
            for left_behind in home.glob(f"{_DRAFT}*"):
                shutil.rmtree(left_behind)
            draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=home))
        else:
            draft = Path(tempfile.mkdtemp(prefix="cafeteria-postgres-", dir=_place_within_reach(home)))
        try:
            await self._initdb(programs, draft)
            self._adopt(draft)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    async def _initdb(self, programs: PostgresPrograms, draft: Path) -> None:
        """A folder in which initdb failed or was killed never becomes the data folder."""
        data, secret = draft / "data", draft / "password"
        data.mkdir(mode=0o700)
        secret.touch(mode=0o600)
        secret.write_text(self._credentials.postgres_password(ADMIN))
        for path in (draft, data, secret):
            self._account.own(path)
        argv = (
            *(programs.initdb, "--pgdata", str(data), "--username", SUPERUSER, "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
        )
        log = self._home.logs / "initdb.log"
        program = Program(argv=argv, env=_environment(), account=self._account, own_group=True, cwd=draft)
        child = await Child.start(program, log=log)
        if await child.wait() != 0:
            raise StackError(f"Postgres could not make its data folder: the end of {log} says why.")
        secret.unlink()

    def _adopt(self, draft: Path) -> None:
        """Make the drafted folder the data folder: moved into the home, or linked from it."""
        target = self._home.postgres
        if target.is_symlink():
            target.unlink()  # what it named is gone
        if draft.parent == self._home.root:
            (draft / "data").rename(target)
            draft.rmdir()
        else:
            target.symlink_to(draft / "data")

    def _refuse_other_version(self) -> None:
        found = (self._home.postgres / "PG_VERSION").read_text().strip()
        if found != POSTGRES_MAJOR:
            raise StackError(
                f"The data in {self._home.postgres} was written by Postgres {found}, this is Postgres "
                f"{POSTGRES_MAJOR}: move it elsewhere to keep it, or wipe it with `just reset`."
            )

    async def _outlive_old_server(self) -> None:
        """Wait for a server that is still ending, and drop the pid file of one that ended without a word.

        The sessions of a server that was killed outlive it for a moment, and no other starts beside them.
        """
        pid_file = self._home.postgres / "postmaster.pid"
        deadline = time.monotonic() + OLD_SERVER_TIMEOUT_S
        while (user := _user_of(pid_file)) is not None:
            if time.monotonic() > deadline:
                raise StackError(f"{user} still uses {self._home.postgres}: stop it first.")
            await asyncio.sleep(POLL_S)
        if pid_file.exists():
            logger.warning("Postgres did not end in good order the last time: its stale pid file is removed.")
            pid_file.unlink()

    def _write(self, name: str, content: str) -> None:
        path = self._home.postgres / name
        path.write_text(content)
        path.chmod(0o600)
        self._account.own(path)


def _place_within_reach(home: Path) -> Path:
    """Where data lies whose home is private: among passing things if the home is one, else for good."""
    passing = Path(tempfile.gettempdir())
    if home.is_relative_to(passing):
        return passing
    accounts.SYSTEM_DATA.mkdir(parents=True, exist_ok=True, mode=0o755)
    return accounts.SYSTEM_DATA


def remove_data(home: Home) -> None:
    """Remove the data folder, also where the home only links to it."""
    if home.postgres.is_symlink():
        shutil.rmtree(home.postgres.readlink().parent, ignore_errors=True)
        home.postgres.unlink()
    shutil.rmtree(home.postgres, ignore_errors=True)


def _user_of(pid_file: Path) -> str | None:
    """Who keeps another server from starting on this data."""
    if (pid := _server_pid(pid_file)) is not None:
        return f"Another Postgres (process {pid})"
    if _has_sessions(pid_file):
        return "A session of a Postgres that was killed"
    return None


def _has_sessions(pid_file: Path) -> bool:
    """Whether processes are attached to the shared memory that the pid file names, as far as this system says."""
    try:
        segment = pid_file.read_text().splitlines()[_PID_FILE_MEMORY].split()[1]
        _, *rows = _SHARED_MEMORY.read_text().splitlines()
    except (OSError, ValueError, IndexError):
        return False
    attached = {row.split()[1]: row.split()[6] for row in rows}
    return int(attached.get(segment, "0")) > 0


def _server_pid(pid_file: Path) -> int | None:
    """The process that the pid file names, if that is a Postgres: after a reboot its number may be another's."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        name = psutil.Process(pid).name()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if name == "postgres" else None


def _settings(port: int) -> str:
    own = {"listen_addresses": f"'{ports.HOST}'", "port": str(port), **SETTINGS}
    return "".join(f"{name} = {value}\n" for name, value in own.items())


def _environment() -> dict[str, str]:
    """Nothing of the caller's, such as PGDATA; only what finds programs and a zone."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
