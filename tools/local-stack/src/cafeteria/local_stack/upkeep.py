"""What `up` does besides running things: it keeps logs short, and says that a disk fills up before it is full."""

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
LOOK_EVERY_S = 5.0
LOW_ROOM_BYTES = 2 << 30  # the database's journal alone grows up to that between two checkpoints
LOW_FILES = 10_000  # a database with its indexes and journal has about two thousand
GIB = 1 << 30

logger = logging.getLogger(__name__)


async def look_after(home: DataDirectory, room: "Room") -> None:
    """For ever: every few seconds shorten long logs and look at the disks."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.to_thread(rotate_logs, home.logs)
        await asyncio.to_thread(room.look)


class Room:
    """The free room on the disks of a stack, said when it is low, and again whenever half of it is gone."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._said: dict[int, int] = {}

    @classmethod
    def of(cls, home: DataDirectory) -> "Room":
        return cls((home.root, home.postgres, home.nats, home.nats / "store", home.logs))

    def look(self) -> None:
        disks = {place.stat().st_dev: place for folder in self._folders if (place := _existing(folder))}
        for disk, place in disks.items():
            with suppress(OSError):  # a disk that has gone is not full
                self._look_at(disk, place)

    def _look_at(self, disk: int, place: Path) -> None:
        state = os.statvfs(place)
        free = state.f_bavail * state.f_frsize
        if state.f_files and state.f_favail < LOW_FILES:
            free = 0  # room that no file can be made in
        if free >= LOW_ROOM_BYTES:
            self._said.pop(disk, None)
        elif disk not in self._said or free < self._said[disk] // 2:
            self._said[disk] = free
            logger.warning(
                "the disk of %s is nearly full (%.1f GiB left): once it is full no order is accepted. Make room, or stop "
                "and move the folder to a bigger disk, leaving a link to it here",
                *(place, free / GIB),
            )


def rotate_logs(folder: Path) -> None:
    """Keep each log under its limit, and three older ones beside it. Its writer goes on, and needs not know."""
    for log in folder.glob("*.log"):
        try:
            if not log.is_symlink() and log.stat().st_size > LOG_MAX_BYTES:
                _rotate(log)
        except OSError as error:
            logger.warning("%s cannot be shortened: %s", log, error.strerror)


def _rotate(log: Path) -> None:
    """Copied and emptied, not renamed: servers hold it open. They append, so they go on at its new beginning."""
    older = [log.with_name(f"{log.name}.{number}") for number in range(1, LOGS_KEPT + 1)]
    older[-1].unlink(missing_ok=True)  # first of all: the copy needs its room
    draft = log.with_name(f"{log.name}.draft")
    try:
        with log.open("r+b") as source, draft.open("wb") as copy:
            draft.chmod(PRIVATE_FILE)
            while source.tell() < os.fstat(source.fileno()).st_size:  # what was written meanwhile, too
                shutil.copyfileobj(source, copy)
            source.truncate(0)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    for newer, place in zip(reversed(older[:-1]), reversed(older[1:]), strict=True):
        if newer.exists():
            newer.replace(place)
    draft.replace(older[0])


def _existing(folder: Path) -> Path | None:
    return next((place for place in (folder, *folder.parents) if place.exists()), None)
