"""Where everything of one stack lies on disk, and who may use it: one supervisor at a time."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cafeteria.local_stack.errors import StackError


@dataclass(frozen=True, kw_only=True)
class Home:
    """The data folder, `.cafeteria/` in the current project unless CAFETERIA_HOME moves it."""

    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Home":
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

    def create(self) -> None:
        try:
            for folder in (self.root, self.nats, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"Cannot write to {self.root} ({error.strerror}): set CAFETERIA_HOME to a folder of yours."
            ) from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this process; the kernel lets go of it whatever becomes of the process.

        Raises `StackError` when another process holds it.
        """
        self.create()
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode() or "unknown"
            raise StackError(
                f"A stack is running on {self.root} already (process {holder}): stop it first, "
                "or give this one another folder with CAFETERIA_HOME."
            ) from None


@contextmanager
def temporary_home() -> Iterator[Home]:
    """A home that is gone afterwards. Under root Postgres runs as another user, who may pass through it."""
    folder = Path(tempfile.mkdtemp(prefix="cafeteria-"))
    folder.chmod(0o711)
    home = Home(root=folder)
    try:
        home.create()
        yield home
    finally:
        data = home.postgres.resolve()  # under a private temporary folder it lies outside
        shutil.rmtree(folder, ignore_errors=True)
        if not data.is_relative_to(folder):
            shutil.rmtree(data.parent, ignore_errors=True)
