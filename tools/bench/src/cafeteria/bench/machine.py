"""What the machine did meanwhile: CPU by process, what neighbours took, and what the hypervisor kept for itself."""

import asyncio
import fcntl
import os
import resource
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import msgspec
import psutil


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Between two looks. Shares are of all cores together; `cpu_s` is CPU time by member."""

    seconds: float
    cpu_s: dict[str, float]
    generator_s: float
    steal: float
    others: float
    load_average: float


class Meter:
    """Reads the counters when made; `read` says what has happened since. `members` are process ids by name."""

    def __init__(self, members: Mapping[str, int]) -> None:
        self._members = dict(members)
        self._began_at = monotonic()
        self._machine = _machine_s()
        self._cpu = self._cpu_by_member()
        self._generator = _generator_s()

    def read(self) -> Usage:
        seconds = monotonic() - self._began_at
        machine = _machine_s()
        passed = {name: machine[name] - self._machine[name] for name in machine}
        total = sum(passed.values())
        cpu_s = {name: now - self._cpu[name] for name, now in self._cpu_by_member().items()}
        generator_s = _generator_s() - self._generator
        busy_s = total - passed["idle"] - passed["iowait"] - passed["steal"]
        return Usage(
            seconds=seconds,
            cpu_s=cpu_s,
            generator_s=generator_s,
            steal=passed["steal"] / total,
            others=max(0.0, busy_s - sum(cpu_s.values()) - generator_s) / total,
            load_average=os.getloadavg()[0],
        )

    def _cpu_by_member(self) -> dict[str, float]:
        return {name: cpu_of_family(pid) for name, pid in self._members.items()}


def cpu_of_family(pid: int) -> float:
    """Seconds of CPU of a process, of its children, and of those children that have ended: Postgres' sessions."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    seconds = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system
    return float(seconds)


def resident_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


@asynccontextmanager
async def alone(lock: Path | None) -> AsyncIterator[None]:
    """Hold the lock file, if one is given: on a machine that several share, one measures at a time."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield


_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def _machine_s() -> dict[str, float]:
    """CPU time of all cores; what this system does not count is 0: macOS knows of nothing stolen and no waiting for disks."""
    times = psutil.cpu_times()
    return {name: getattr(times, name, 0.0) for name in _FIELDS}


def cores() -> int:
    """Those that this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _generator_s() -> float:
    """CPU of this process and of the children it has waited for: wrk is one."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
