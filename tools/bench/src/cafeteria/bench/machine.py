"""The machine during a measurement: CPU by process, CPU of other processes, and time stolen by the hypervisor."""

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
    """Usage between two readings. Shares are of all cores together; `cpu_s` is CPU time by process."""

    seconds: float
    cpu_s: dict[str, float]
    generator_s: float
    steal: float
    others: float
    load_average: float


class Meter:
    """Reads the counters when created; `read` returns the usage since. `processes` are process ids by name."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = dict(processes)
        self._began_at = monotonic()
        self._machine = _machine_s()
        self._cpu = self._cpu_by_process()
        self._generator = _generator_s()

    def read(self) -> Usage:
        seconds = monotonic() - self._began_at
        machine = _machine_s()
        passed = {name: machine[name] - self._machine[name] for name in machine}
        total = sum(passed.values())
        cpu_s = {name: now - self._cpu[name] for name, now in self._cpu_by_process().items()}
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

    def _cpu_by_process(self) -> dict[str, float]:
        return {name: cpu_of_family(pid) for name, pid in self._processes.items()}


def cpu_of_family(pid: int) -> float:
    """Return the seconds of CPU of a process and its children, with ended children such as Postgres' sessions."""
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
    """Hold the lock file, if there is one, so that one user of a shared machine measures at a time."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield


_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def _machine_s() -> dict[str, float]:
    """Return the CPU time of all cores; fields that the system does not count are 0: macOS has no steal and no iowait."""
    times = psutil.cpu_times()
    return {name: getattr(times, name, 0.0) for name in _FIELDS}


def cores() -> int:
    """Return the number of cores that this process may use, or all where the system has no such limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _generator_s() -> float:
    """Return the CPU time of this process and of its ended children, such as wrk."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
