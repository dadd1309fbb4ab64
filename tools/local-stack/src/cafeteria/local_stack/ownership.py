"""Marks the folders that the stack created: it uses and removes those and nothing else on the disk.

The stack claims only empty folders and puts a file `made-by-cafeteria` into each, which moves with the content. A
folder may be a link to another disk or a mounted disk; the stack removes only its own files inside.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import psutil

from cafeteria.provisioning.errors import SettingError, StackError
from cafeteria.provisioning.private_files import PRIVATE_FOLDER, write_private

MARKER = "made-by-cafeteria"
OTHERS = 0o077  # the bits of a mode that give access to others than the owner
PLACE_PREFIX, PLACE_DATA = "cafeteria-postgres-", "data"
"""Data outside the data folder is in `cafeteria-postgres-…/data`; the stack created that folder and its link."""

_DISKS_OWN = "lost+found"  # every new ext4 disk has it
CONTENT = {
    "edge": ("config", "data"),
    "nats": ("nats.conf", "store"),
    "postgres": (
        "PG_VERSION",  # removed first: without it a start treats the database as unfinished and creates it again
        *("base", "global", "pg_commit_ts", "pg_dynshmem", "pg_hba.conf", "pg_ident.conf", "pg_logical"),
        *("pg_multixact", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat", "pg_stat_tmp"),
        *("pg_subtrans", "pg_tblspc", "pg_twophase", "pg_wal", "pg_xact"),
        *("postgresql.conf", "postgresql.auto.conf", "postmaster.*", "cafeteria.conf", ".draft-*"),
    ),
    "logs": ("*.log", "*.log.[0-9]", "*.log.draft"),
    "secrets": ("postgres-*", "nats-*", "identity-*", "gateway-*", "stock-*", "kitchen-*", "notification-*", ".draft-*"),
}  # fmt: skip
"""The stack's own folders in the order of their removal, and the names of the files in each.

The order makes a start after any interrupted removal work: the database restores the bus, and the secrets open the
database.
"""


def refuse_foreign(root: Path) -> None:
    """Raise `StackError` for a folder that the stack did not create, or whose disk is not mounted."""
    for name in CONTENT:
        folder = root / name
        _refuse_broken(folder)
        if folder.exists() and not (_is_marked(folder) or is_empty(folder) or _is_of_first_version(folder)):
            raise SettingError(
                f"{folder} contains files that this stack did not create, so it stays as it is: move them away, or "
                "set CAFETERIA_HOME to another folder. If they are the stack's own, from a backup perhaps, put an "
                f"empty file named {MARKER} beside them."
            )


def claim(folder: Path) -> None:
    """Create the folder, or claim one that `refuse_foreign` accepted, and remove others' access to it."""
    folder.mkdir(exist_ok=True)
    folder.chmod(PRIVATE_FOLDER)
    marker = folder / MARKER
    if not marker.exists():
        write_private(marker, "")
    for path in _entries_below(folder):
        _close_to_others(path)


def is_empty(folder: Path) -> bool:
    return all(entry.name == _DISKS_OWN for entry in folder.iterdir())


def require_removable(root: Path) -> None:
    """Raise `StackError` unless every folder of the stack is marked and has no disk mounted inside."""
    for name in CONTENT:
        folder = root / name
        _refuse_broken(folder)
        if not folder.exists():
            continue
        if not _is_marked(folder) and not is_empty(folder):
            raise SettingError(
                f"{folder} has no marker of this stack, so nothing was removed. The next start marks data of an "
                "earlier version; move or remove anything else yourself."
            )
        if inside := _disks_inside(folder):
            raise StackError(
                f"{inside} is a disk that is mounted inside {folder}: unmount it first. Nothing was removed."
            )


def has_any(root: Path) -> bool:
    return any(_is_marked(root / name) for name in CONTENT)


def remove(root: Path) -> list[Path]:
    """Remove the stack's files from its folders; return the foreign files, which stay. Raises OSError."""
    kept = []
    for name in CONTENT:
        folder = root / name
        if folder.exists() and _is_marked(folder):
            remove_content(folder, name)
            kept += _removed_if_empty(folder)
    return kept


def remove_content(folder: Path, name: str) -> None:
    """Remove the stack's files from the folder `name`. It removes links and never follows them."""
    entries = list(folder.iterdir())
    for pattern in CONTENT[name]:
        for entry in entries:
            if fnmatch(entry.name, pattern) and os.path.lexists(entry):
                _remove(entry)


def _removed_if_empty(folder: Path) -> list[Path]:
    """Remove the folder unless it is a link or a disk, which stay empty, or has foreign files; return those.

    Beside foreign files the marker stays, so that the next start accepts the folder.
    """
    foreign = [entry for entry in folder.iterdir() if entry.name not in (MARKER, _DISKS_OWN)]
    if foreign:
        return foreign
    (folder / MARKER).unlink()
    with suppress(OSError):  # a mounted disk
        if not folder.is_symlink():
            folder.rmdir()
        elif _is_outside_data(target := folder.resolve()):
            folder.unlink()
            target.rmdir()
            target.parent.rmdir()
    return []


def _is_outside_data(folder: Path) -> bool:
    return folder.name == PLACE_DATA and folder.parent.name.startswith(PLACE_PREFIX)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _is_marked(folder: Path) -> bool:
    return (folder / MARKER).exists()


def _is_of_first_version(folder: Path) -> bool:
    """Whether version 0.1 created the folder, which had no markers: secrets and a database's settings show it."""
    secrets = folder.parent / "secrets"
    made = ("postgres-admin", "identity-signing-key.pem")
    if _is_marked(secrets) or not all((secrets / name).is_file() for name in made):
        return False
    return folder.name != "postgres" or all(
        (folder / name).is_file() for name in ("PG_VERSION", "cafeteria.conf")
    )


def _refuse_broken(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        raise SettingError(
            f"{folder} is a link to {folder.readlink()}, which does not exist, so nothing was created or removed: "
            "mount its disk, or remove the link."
        )
    if folder.exists() and not folder.is_dir():
        raise SettingError(
            f"{folder} is not a folder: move it away, or set CAFETERIA_HOME to another folder."
        )


def _disks_inside(folder: Path) -> Path | None:
    """Return a mount point below the folder; the content of that disk is foreign."""
    real = folder.resolve()
    mounts = (Path(partition.mountpoint) for partition in psutil.disk_partitions(all=True))
    return next((mount for mount in mounts if real in mount.parents), None)


def _entries_below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *files))


def _close_to_others(path: Path) -> None:
    with suppress(FileNotFoundError):  # a server that is still ending may remove files
        mode = path.lstat().st_mode
        if mode & OTHERS and not path.is_symlink():
            path.chmod(mode & 0o700)
