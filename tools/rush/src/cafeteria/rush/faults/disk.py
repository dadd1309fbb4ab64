"""A full disk under NATS' store: the store moves to a small file system in memory, which is then filled.

Needs root on Linux, for the mount. NATS stores nothing until it is restarted on a disk with free space, which heals it.
"""

import asyncio
import os
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from cafeteria.faultkit.cluster import NATS, Cluster
from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.faults.servers import FAMILY, until_bus_is_whole

ROOM_BYTES = 4 << 20
"""Free space beyond the current size of the store."""
FULL_S = (1.0, 5.0)
BALLAST = "ballast"


class DiskFull(Fault):
    name = "nats-disk-full"
    family = FAMILY
    weight = 0.5

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        for_s = chance.uniform(*FULL_S)
        store = cluster.data_directory.nats / "store"
        async with cluster.lock(NATS):
            await cluster.stack.stop(NATS)
            await asyncio.to_thread(_move_to_memory, store)
            try:
                await cluster.stack.start(NATS)
                await asyncio.to_thread(_fill, store / BALLAST)
                await asyncio.sleep(for_s)
            finally:
                await cluster.stack.stop(NATS)
                await asyncio.to_thread(_move_back, store)
                await cluster.stack.start(NATS)
        await until_bus_is_whole(cluster)
        return f"for {for_s:.1f} s"


def _move_to_memory(store: Path) -> None:
    """Move the store. Raises OSError if the mount fails, with the store in its old place."""
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    aside = store.with_name("store-on-disk")
    store.rename(aside)
    store.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={size + ROOM_BYTES}", "cafeteria-rush", str(store))
    except OSError:
        store.rmdir()
        aside.rename(store)
        raise
    shutil.copytree(aside, store, dirs_exist_ok=True)
    shutil.rmtree(aside)


def _move_back(store: Path) -> None:
    (store / BALLAST).unlink(missing_ok=True)
    aside = store.with_name("store-from-memory")
    shutil.copytree(store, aside)
    _run("umount", "--lazy", str(store))
    store.rmdir()
    aside.rename(store)


def _fill(ballast: Path) -> None:
    """Write until the file system is full."""
    zeros = bytes(1 << 16)
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(zeros)


def _run(*command: str) -> None:
    """Run a command. Raises OSError with its error output."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed commands
    if done.returncode:
        raise OSError(done.stderr.strip())


DISK: tuple[Fault, ...] = (DiskFull(),)
IS_POSSIBLE = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None
