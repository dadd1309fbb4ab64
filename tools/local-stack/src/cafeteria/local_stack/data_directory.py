"""The data folder of one stack, which one supervisor at a time may use."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cafeteria.local_stack import ownership
from cafeteria.provisioning.errors import SettingError, StackError
from cafeteria.provisioning.private_files import PRIVATE_FILE, PRIVATE_FOLDER

_PASSABLE = 0o711  # under root Postgres runs as another user, who must reach its data
_PID_LENGTH = 20
_DRAFTS_OF_VERSION_0_1 = ".postgres-draft-*"
_OTHER_CONTENT = ("running", "database-is-in", "compose", _DRAFTS_OF_VERSION_0_1)
"""Files and folders of the stack and its tools beside the folders of `ownership.CONTENT`."""


@dataclass(frozen=True, kw_only=True)
class DataDirectory:
    """The data folder, `.cafeteria/` in the current project unless CAFETERIA_HOME moves it."""

    root: Path
    is_temporary: bool = False
    """A test removes it afterwards, so its content need not survive a power cut."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "DataDirectory":
        return cls(root=Path(environ.get("CAFETERIA_HOME") or ".cafeteria").absolute())

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def nats(self) -> Path:
        return self.root / "nats"

    @property
    def edge(self) -> Path:
        return self.root / "edge"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        return self.root / "running"

    @property
    def database_record(self) -> Path:
        """Contains the path of the last database: if that folder is empty at a start, its disk is not mounted."""
        return self.root / "database-is-in"

    def create(self) -> None:
        """Create missing folders, readable by their owner alone. Raises `StackError` for foreign folders."""
        self._prepare_root()
        if self.postgres.exists():
            ownership.claim(self.postgres)
        for folder in (
            self.nats,
            self.edge,
            self.logs,
            self.secrets,
        ):  # unmarked secrets identify version 0.1: last
            ownership.claim(folder)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder for this process; the kernel releases the lock however the process ends.

        Raises `StackError` when another process has the lock.
        """
        self._prepare_root()
        with self._locked():
            self.create()
            yield

    def wipe(self) -> list[Path]:
        """Remove everything that the stack created; return the foreign files inside, which stay.

        Raises `StackError`, with nothing removed, if a stack uses the folder or a folder is foreign.
        """
        self._refuse_unusable()
        ownership.require_removable(self.root)
        if not ownership.has_any(self.root):
            return []
        with self._locked():
            return self.remove()

    def remove(self) -> list[Path]:
        """Do the same as `wipe` for a caller that has the lock."""
        for draft in self.root.glob(_DRAFTS_OF_VERSION_0_1):
            if not draft.is_symlink():
                shutil.rmtree(draft)
        kept = ownership.remove(self.root)
        self.database_record.unlink(missing_ok=True)
        return kept

    def _prepare_root(self) -> None:
        self._refuse_unusable()
        self._refuse_lost_database()
        ownership.refuse_foreign(self.root)
        try:
            if not self.root.exists():
                _make_folders(self.root)
            if self._has_own_content_only():
                self._close_root()
        except OSError as error:
            raise StackError(
                f"Cannot write to {self.root} ({error.strerror}): set CAFETERIA_HOME to a folder of yours."
            ) from None

    def _refuse_unusable(self) -> None:
        if self.root.is_symlink() and not self.root.exists():
            raise SettingError(
                f"{self.root} is a link to {self.root.readlink()}, which does not exist: mount its disk, or remove it."
            )
        if self.root.resolve() in (Path("/"), Path(os.environ.get("HOME") or "/").resolve()):
            raise SettingError(
                f"CAFETERIA_HOME is {self.root}, which contains other files too: name a folder for this stack alone."
            )

    def _refuse_lost_database(self) -> None:
        if not (self.database_record.exists() and self.postgres.exists()):
            return
        place = self.postgres.resolve()
        if self.database_record.read_text().rstrip("\n") == str(place) and ownership.is_empty(place):
            raise SettingError(
                f"The database was in {place}, and that folder is empty now: mount its disk. To begin without it, "
                "run `just reset` first."
            )

    def _has_own_content_only(self) -> bool:
        known = (*ownership.CONTENT, *_OTHER_CONTENT)
        return all(any(map(entry.match, known)) for entry in self.root.iterdir())

    def _close_root(self) -> None:
        widest = _PASSABLE if os.geteuid() == 0 else PRIVATE_FOLDER
        mode = self.root.stat().st_mode
        if mode & 0o777 & ~widest:
            with suppress(PermissionError):  # another user owns the folder and lets this user write in it
                self.root.chmod(mode & widest)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = self._open_lock()
        try:
            self._lock(descriptor)
            os.fchmod(descriptor, PRIVATE_FILE)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int:
        """Open the lock file. Raises `SettingError` for any other file of this name, which it leaves as it is."""
        foreign = SettingError(
            f"{self.lock} is not a file of this stack, so it is kept: move it away, or set CAFETERIA_HOME to another folder."
        )
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self.lock, flags, PRIVATE_FILE)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise foreign from None
            raise
        content = os.pread(descriptor, _PID_LENGTH + 1, 0)
        if content and (len(content) > _PID_LENGTH or not content.isdigit()):
            os.close(descriptor)
            raise foreign
        return descriptor

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, _PID_LENGTH, 0).decode() or "unknown"
            raise StackError(
                f"A stack is running on {self.root} already (process {holder}): stop it first, "
                "or give this one another folder with CAFETERIA_HOME."
            ) from None


def _make_folders(root: Path) -> None:
    """Create the folder for its owner alone and its parents for everybody, independent of the umask."""
    for parent in reversed(root.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)
    root.mkdir(exist_ok=True)
    root.chmod(_PASSABLE if os.geteuid() == 0 else PRIVATE_FOLDER)


@contextmanager
def temporary_data_directory() -> Iterator[DataDirectory]:
    """Create a data folder and remove it at the end. Under root, Postgres' user can reach its data in it."""
    folder = Path(tempfile.mkdtemp(prefix="cafeteria-")).resolve()
    folder.chmod(_PASSABLE)
    home = DataDirectory(root=folder, is_temporary=True)
    try:
        home.create()
        yield home
    finally:
        with suppress(OSError):
            home.remove()  # if the temporary folder is private, the database is outside it
        shutil.rmtree(folder, ignore_errors=True)
