"""Which folders of a data folder the stack made: it uses and removes those, and nothing else on the disk.

A folder becomes the stack's while it is empty, and says so by a file in it, `made-by-cafeteria`, which goes where its
content goes. Each folder may be a link to another disk, or a disk of its own: only what the stack put inside is removed.
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
OTHERS = 0o077  # the bits of a mode that let in anybody but the owner
PLACE_PREFIX, PLACE_DATA = "cafeteria-postgres-", "data"
"""Data that lies outside the home is in `cafeteria-postgres-…/data`, which the stack made, link included."""

_DISKS_OWN = "lost+found"  # every new ext4 disk has it
CONTENT = {
    "nats": ("nats.conf", "store"),
    "postgres": (
        "PG_VERSION",  # goes first: a database without it counts as unfinished, and is made again
        *("base", "global", "pg_commit_ts", "pg_dynshmem", "pg_hba.conf", "pg_ident.conf", "pg_logical"),
        *("pg_multixact", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat", "pg_stat_tmp"),
        *("pg_subtrans", "pg_tblspc", "pg_twophase", "pg_wal", "pg_xact"),
        *("postgresql.conf", "postgresql.auto.conf", "postmaster.*", "cafeteria.conf", ".draft-*"),
    ),
    "logs": ("*.log", "*.log.[0-9]", "*.log.draft"),
    "secrets": ("postgres-*", "nats-*", "identity-*", "gateway-*", "stock-*", "kitchen-*", "notification-*", ".draft-*"),
}  # fmt: skip
"""The stack's own folders, in the order in which they are removed, and the names of what it puts into each.

However far a removal got, the next start works: the bus is made again from the database, the database from the secrets.
"""


def refuse_foreign(root: Path) -> None:
    """Raise `StackError` for a folder among the stack's own that it did not make, or whose disk is not there."""
    for name in CONTENT:
        folder = root / name
        _refuse_broken(folder)
        if folder.exists() and not (_is_ours(folder) or is_empty(folder) or _is_of_first_version(folder)):
            raise SettingError(
                f"{folder} holds files that this stack did not make, so it is left as it is: move them away, or set "
                "CAFETERIA_HOME to another folder. Where they are the stack's own, from a backup perhaps, put an "
                f"empty file named {MARKER} beside them."
            )


def claim(folder: Path) -> None:
    """Make the folder, or take one that `refuse_foreign` let pass, and close it to everybody else."""
    folder.mkdir(exist_ok=True)
    folder.chmod(PRIVATE_FOLDER)
    marker = folder / MARKER
    if not marker.exists():
        write_private(marker, "")
    for path in _tree(folder):
        _close_to_others(path)


def is_empty(folder: Path) -> bool:
    return all(entry.name == _DISKS_OWN for entry in folder.iterdir())


def require_removable(root: Path) -> None:
    """Raise `StackError` unless all of the stack's own folders may be removed."""
    for name in CONTENT:
        folder = root / name
        _refuse_broken(folder)
        if not folder.exists():
            continue
        if not _is_ours(folder) and not is_empty(folder):
            raise SettingError(
                f"{folder} is not marked as made by this stack, so nothing is removed. Data of an earlier version is "
                "marked by its next start; anything else is yours to move or remove."
            )
        if inside := _disks_inside(folder):
            raise StackError(
                f"{inside} is a disk of its own inside {folder}: unmount it first. Nothing was removed."
            )


def has_any(root: Path) -> bool:
    return any(_is_ours(root / name) for name in CONTENT)


def remove(root: Path) -> list[Path]:
    """Remove what the stack made in its folders; returns what else lies in them, which stays. Raises OSError."""
    kept = []
    for name in CONTENT:
        folder = root / name
        if folder.exists() and _is_ours(folder):
            remove_content(folder, name)
            kept += _removed_if_empty(folder)
    return kept


def remove_content(folder: Path, name: str) -> None:
    """Remove what the stack puts into a folder of this name. Links in it are removed, never followed."""
    entries = list(folder.iterdir())
    for pattern in CONTENT[name]:
        for entry in entries:
            if fnmatch(entry.name, pattern) and os.path.lexists(entry):
                _remove(entry)


def _removed_if_empty(folder: Path) -> list[Path]:
    """A person's own link or disk stays, empty; foreign files keep the marker beside them, for the next start."""
    foreign = [entry for entry in folder.iterdir() if entry.name not in (MARKER, _DISKS_OWN)]
    if foreign:
        return foreign
    (folder / MARKER).unlink()
    with suppress(OSError):  # a disk of its own
        if not folder.is_symlink():
            folder.rmdir()
        elif _is_stacks_place(place := folder.resolve()):
            folder.unlink()
            place.rmdir()
            place.parent.rmdir()
    return []


def _is_stacks_place(folder: Path) -> bool:
    return folder.name == PLACE_DATA and folder.parent.name.startswith(PLACE_PREFIX)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _is_ours(folder: Path) -> bool:
    return (folder / MARKER).exists()


def _is_of_first_version(folder: Path) -> bool:
    """Version 0.1 marked nothing. What it made is known by its secrets, and a database by its settings too."""
    secrets = folder.parent / "secrets"
    made = ("postgres-admin", "identity-signing-key.pem")
    if _is_ours(secrets) or not all((secrets / name).is_file() for name in made):
        return False
    return folder.name != "postgres" or all(
        (folder / name).is_file() for name in ("PG_VERSION", "cafeteria.conf")
    )


def _refuse_broken(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        raise SettingError(
            f"{folder} is a link to {folder.readlink()}, which is not there, so nothing was made or removed: "
            "mount its disk, or remove the link."
        )
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"{folder} is no folder: move it away, or set CAFETERIA_HOME to another one.")


def _disks_inside(folder: Path) -> Path | None:
    """Where something is mounted below the folder; its content is somebody else's."""
    real = folder.resolve()
    mounts = (Path(partition.mountpoint) for partition in psutil.disk_partitions(all=True))
    return next((mount for mount in mounts if real in mount.parents), None)


def _tree(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *files))


def _close_to_others(path: Path) -> None:
    with suppress(FileNotFoundError):  # a server that is still ending removes files
        mode = path.lstat().st_mode
        if mode & OTHERS and not path.is_symlink():
            path.chmod(mode & 0o700)
