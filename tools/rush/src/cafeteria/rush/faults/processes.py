"""Process faults: service processes that are killed, frozen, or restarted one after another."""

import asyncio
import random
import signal
from dataclasses import dataclass
from time import monotonic

from cafeteria.contracts.subjects import SERVICES
from cafeteria.faultkit.cluster import Cluster
from cafeteria.rush.faults.fault import Fault, named, some

FROZEN_S = (0.3, 6.0)
"""The range reaches from less than a request's deadline to more than the bus needs to notice."""

FAMILY = "processes"


@dataclass(frozen=True, kw_only=True)
class Kill(Fault):
    """Kills one process or all of a service with SIGKILL, and waits until they are ready again."""

    name: str
    service: str
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        chosen = some(chance, cluster.processes(self.service))
        for process in chosen:
            cluster.stack.kill(process, signal.SIGKILL)
        for process in chosen:
            await cluster.ready(process)
        return named(chosen)


@dataclass(frozen=True, kw_only=True)
class Freeze(Fault):
    """SIGSTOP, later SIGCONT: the connections of the process stay open and get no answers."""

    name: str
    service: str
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        chosen = some(chance, cluster.processes(self.service))
        for_s = chance.uniform(*FROZEN_S)
        for process in chosen:
            cluster.stack.kill(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            for process in chosen:
                cluster.stack.kill(process, signal.SIGCONT)
        return f"{named(chosen)} for {for_s:.1f} s"


class RollingRestart(Fault):
    """SIGTERM to one process after another; each is ready again before the next one stops."""

    name = "rolling-sigterm"
    family = FAMILY
    weight = 0.3

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        processes = cluster.all_processes
        chance.shuffle(processes)
        slowest_s = 0.0
        for process in processes:
            asked_at = monotonic()
            cluster.stack.kill(process, signal.SIGTERM)
            await cluster.ready(process)
            slowest_s = max(slowest_s, monotonic() - asked_at)
        return f"{len(processes)} processes, the slowest back after {slowest_s:.1f} s"


PROCESSES: tuple[Fault, ...] = (
    *(Kill(name=f"kill-{service}", service=service) for service in SERVICES),
    *(Freeze(name=f"freeze-{service}", service=service) for service in SERVICES),
    RollingRestart(),
)
