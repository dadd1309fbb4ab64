"""Rotates the logs while `up` runs and warns before a disk is full."""

import asyncio
import logging
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.provisioning.private_files import PRIVATE_FILE

LOG_MAX_BYTES = 50 << 20
LOGS_KEPT = 3
INTERVAL_S = 5.0
LOW_SPACE_BYTES = 2 << 30  # the database's journal alone grows to this size between two checkpoints
LOW_FILES = 10_000  # inodes; a database with its indexes and journal has about two thousand
GIB = 1 << 30

logger = logging.getLogger(__name__)


async def run_upkeep(home: DataDirectory, disk_space: "DiskSpace") -> None:
    """Rotate long logs and check the disks every INTERVAL_S, until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        await asyncio.to_thread(rotate_logs, home.logs)
        await asyncio.to_thread(disk_space.check)


class DiskSpace:
    """Warns when the free space of a stack's disks is low, and again whenever half of it is used."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._warned_at: dict[int, int] = {}

    @classmethod
    def of(cls, home: DataDirectory) -> "DiskSpace":
        return cls((home.root, home.postgres, home.nats, home.nats / "store", home.logs))

    def check(self) -> None:
        disks = {
            existing.stat().st_dev: existing for folder in self._folders if (existing := _existing(folder))
        }
        for disk, existing in disks.items():
            with suppress(OSError):  # an unmounted disk is not full
                self._check_disk(disk, existing)

    def _check_disk(self, disk: int, existing: Path) -> None:
        state = os.statvfs(existing)
        free = state.f_bavail * state.f_frsize
        if state.f_files and state.f_favail < LOW_FILES:
            free = 0  # no file can be created in this space
        if free >= LOW_SPACE_BYTES:
            self._warned_at.pop(disk, None)
        elif disk not in self._warned_at or free < self._warned_at[disk] // 2:
            self._warned_at[disk] = free
            logger.warning(
                "the disk of %s is nearly full (%.1f GiB left): once it is full, no order is accepted. Free space, or stop "
                "the stack, move the folder to a bigger disk and leave a link to it here",
                *(existing, free / GIB),
            )


def rotate_logs(folder: Path) -> None:
    """Rotate each log above LOG_MAX_BYTES and keep LOGS_KEPT older ones. Its writer continues undisturbed."""
    for log in folder.glob("*.log"):
        try:
            if not log.is_symlink() and log.stat().st_size > LOG_MAX_BYTES:
                _rotate(log)
        except OSError as error:
            logger.warning("%s cannot be rotated, so it keeps growing: %s", log, error.strerror)


def _rotate(log: Path) -> None:
    """Copy and truncate the log instead of renaming it: servers keep it open and append at its new end."""
    older = [log.with_name(f"{log.name}.{number}") for number in range(1, LOGS_KEPT + 1)]
    older[-1].unlink(missing_ok=True)  # first, because the copy needs its space
    draft = log.with_name(f"{log.name}.draft")
    try:
        with log.open("r+b") as source, draft.open("wb") as copy:
            draft.chmod(PRIVATE_FILE)
            while source.tell() < os.fstat(source.fileno()).st_size:  # includes lines written meanwhile
                shutil.copyfileobj(source, copy)
            source.truncate(0)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    for newer, target in zip(reversed(older[:-1]), reversed(older[1:]), strict=True):
        if newer.exists():
            newer.replace(target)
    draft.replace(older[0])


def _existing(folder: Path) -> Path | None:
    return next((path for path in (folder, *folder.parents) if path.exists()), None)
