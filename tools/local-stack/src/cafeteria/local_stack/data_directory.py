"""Where everything of one stack lies on disk, and who may use it: one supervisor at a time."""

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

_PASSABLE = 0o711  # under root Postgres runs as another user, who passes through to its data
_PID_LENGTH = 20
_FIRST_VERSIONS_DRAFTS = ".postgres-draft-*"
_ELSE = ("running", "database-is-in", "compose", _FIRST_VERSIONS_DRAFTS)
"""What else the stack and its tools put into a home."""


@dataclass(frozen=True, kw_only=True)
class DataDirectory:
    """The data folder, `.cafeteria/` in the current project unless CAFETERIA_HOME moves it."""

    root: Path
    is_temporary: bool = False
    """Gone when it is left: what is made in it need not reach the disk."""

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
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        return self.root / "running"

    @property
    def database_record(self) -> Path:
        """Holds the path of the database that was used last: if that is empty one day, its disk is not there."""
        return self.root / "database-is-in"

    def create(self) -> None:
        """Make what is missing, for its owner's eyes alone. Raises `StackError` for folders of somebody else."""
        self._prepare_root()
        if self.postgres.exists():
            ownership.claim(self.postgres)
        for folder in (
            self.nats,
            self.logs,
            self.secrets,
        ):  # by unmarked secrets the first version's data is known
            ownership.claim(folder)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this process; the kernel lets go of it whatever becomes of the process.

        Raises `StackError` when another process holds it.
        """
        self._prepare_root()
        with self._locked():
            self.create()
            yield

    def wipe(self) -> list[Path]:
        """Remove what the stack made; returns what lies among it and stays, being somebody else's.

        Raises `StackError`, with nothing removed, while a stack runs on it or where folders are somebody else's.
        """
        self._refuse_unusable()
        ownership.require_removable(self.root)
        if not ownership.has_any(self.root):
            return []
        with self._locked():
            return self.remove()

    def remove(self) -> list[Path]:
        """As `wipe`, for those who hold the folder."""
        for draft in self.root.glob(_FIRST_VERSIONS_DRAFTS):
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
            if self._is_all_ours():
                self._close_root()
        except OSError as error:
            raise StackError(
                f"Cannot write to {self.root} ({error.strerror}): set CAFETERIA_HOME to a folder of yours."
            ) from None

    def _refuse_unusable(self) -> None:
        if self.root.is_symlink() and not self.root.exists():
            raise SettingError(
                f"{self.root} is a link to {self.root.readlink()}, which is not there: mount its disk, or remove the link."
            )
        if self.root.resolve() in (Path("/"), Path(os.environ.get("HOME") or "/").resolve()):
            raise SettingError(
                f"CAFETERIA_HOME is {self.root}, where everything else lies too: name a folder for this stack alone."
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

    def _is_all_ours(self) -> bool:
        known = (*ownership.CONTENT, *_ELSE)
        return all(any(map(entry.match, known)) for entry in self.root.iterdir())

    def _close_root(self) -> None:
        widest = _PASSABLE if os.geteuid() == 0 else PRIVATE_FOLDER
        mode = self.root.stat().st_mode
        if mode & 0o777 & ~widest:
            with suppress(PermissionError):  # somebody else's, who lets this user write in it
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
        """Whatever else goes by this name is not written over."""
        foreign = SettingError(
            f"{self.lock} is not this stack's: move it away, or set CAFETERIA_HOME elsewhere."
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
    """Modes whatever the umask: parents as anybody makes them, the home for its owner."""
    for parent in reversed(root.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)
    root.mkdir(exist_ok=True)
    root.chmod(_PASSABLE if os.geteuid() == 0 else PRIVATE_FOLDER)


@contextmanager
def temporary_data_directory() -> Iterator[DataDirectory]:
    """A home that is gone afterwards. Under root Postgres runs as another user, who may pass through it."""
    folder = Path(tempfile.mkdtemp(prefix="cafeteria-")).resolve()
    folder.chmod(_PASSABLE)
    home = DataDirectory(root=folder, is_temporary=True)
    try:
        home.create()
        yield home
    finally:
        with suppress(OSError):
            home.remove()  # under a private temporary folder the database lies outside
        shutil.rmtree(folder, ignore_errors=True)
