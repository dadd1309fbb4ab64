"""I13: what a load takes of memory and descriptors it gives back.

All processes are started anew and warmed up, then measured at rest; after more load, with connections broken under
it and streams dropped, they are measured again. A process may be a tenth above its baseline, not more.
"""

import asyncio
from collections.abc import Iterator, Mapping

import msgspec
import psutil

from cafeteria.rush.arena import Arena

MAY_GROW = 1.10
DESCRIPTORS_TO_SPARE = 8
"""A pool that happened to be smaller at the first look grows by so many."""


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process. `private_bytes` is what would be free again without it, or where only root may count that, all that it holds."""

    private_bytes: int
    descriptors: int

    @property
    def mebibytes(self) -> float:
        return self.private_bytes / 2**20


async def measure(arena: Arena) -> dict[str, Footprint]:
    return await asyncio.to_thread(_measure, {name: arena.stack.pid(name) for name in arena.all_members})


def growth(footprints: Mapping[str, tuple[Footprint, Footprint]]) -> Iterator[str]:
    """A sentence for each process that kept too much."""
    for name, (first, last) in footprints.items():
        if last.private_bytes > first.private_bytes * MAY_GROW:
            yield (
                f"{name} held {first.mebibytes:.1f} MiB at rest and holds {last.mebibytes:.1f} MiB after more load"
            )
        if last.descriptors > first.descriptors * MAY_GROW + DESCRIPTORS_TO_SPARE:
            yield f"{name} had {first.descriptors} descriptors at rest and has {last.descriptors} after more load"


def _measure(pids: dict[str, int]) -> dict[str, Footprint]:
    found = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        found[name] = Footprint(private_bytes=_private_bytes(process), descriptors=process.num_fds())
    return found


def _private_bytes(process: psutil.Process) -> int:
    """On macOS only root may look at pages; what is shared with others does not grow with a load."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
