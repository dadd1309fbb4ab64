"""I13: checks that processes free the memory and descriptors that a load took.

All processes are restarted and warmed up, then measured while quiescent; after more load, with broken connections and
dropped streams, they are measured again. A process may be at most a tenth above its baseline.
"""

import asyncio
from collections.abc import Iterator, Mapping

import msgspec
import psutil

from cafeteria.faultkit.cluster import Cluster

MAY_GROW = 1.10
DESCRIPTORS_TO_SPARE = 8
"""Tolerance for a pool that was smaller at the first measurement."""


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """The use of one process. `private_bytes` would be free without it; if only root may read that, its resident size."""

    private_bytes: int
    descriptors: int

    @property
    def mebibytes(self) -> float:
        return self.private_bytes / 2**20


async def measure(cluster: Cluster) -> dict[str, Footprint]:
    return await asyncio.to_thread(
        _measure, {name: cluster.stack.pid(name) for name in cluster.all_processes}
    )


def growth(footprints: Mapping[str, tuple[Footprint, Footprint]]) -> Iterator[str]:
    """Yield a sentence for each process that kept too much."""
    for name, (first, last) in footprints.items():
        if last.private_bytes > first.private_bytes * MAY_GROW:
            yield (
                f"{name} held {first.mebibytes:.1f} MiB when idle and holds {last.mebibytes:.1f} MiB after more load"
            )
        if last.descriptors > first.descriptors * MAY_GROW + DESCRIPTORS_TO_SPARE:
            yield f"{name} had {first.descriptors} descriptors when idle and has {last.descriptors} after more load"


def _measure(pids: dict[str, int]) -> dict[str, Footprint]:
    found = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        found[name] = Footprint(private_bytes=_private_bytes(process), descriptors=process.num_fds())
    return found


def _private_bytes(process: psutil.Process) -> int:
    """Return the private memory; on macOS, where only root may read it, the resident size: shared pages do not grow."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
