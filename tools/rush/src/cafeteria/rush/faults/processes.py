"""Process faults: service processes that are killed, frozen, or restarted one after another."""

import asyncio
import random
import signal
from dataclasses import dataclass
from time import monotonic

from cafeteria.contracts.subjects import SERVICES
from cafeteria.faultkit.cluster import Arena
from cafeteria.rush.faults.fault import Fault, named, some

FROZEN_S = (0.3, 6.0)
"""The range reaches from less than a request's deadline to more than the bus needs to notice."""

FAMILY = "processes"


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Kills one process or all of a service with SIGKILL, and waits until they are ready again."""

    service: str
    family: str = FAMILY
    weight: float = 1.0

    @property
    def name(self) -> str:
        return f"kill-{self.service}"

    async def strike(self, arena: Arena, chance: random.Random) -> str:
        victims = some(chance, arena.members(self.service))
        for victim in victims:
            arena.stack.kill(victim, signal.SIGKILL)
        for victim in victims:
            await arena.ready(victim)
        return named(victims)


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """SIGSTOP, later SIGCONT: the connections of the process stay open and get no answers."""

    service: str
    family: str = FAMILY
    weight: float = 1.0

    @property
    def name(self) -> str:
        return f"freeze-{self.service}"

    async def strike(self, arena: Arena, chance: random.Random) -> str:
        victims = some(chance, arena.members(self.service))
        for_s = chance.uniform(*FROZEN_S)
        for victim in victims:
            arena.stack.kill(victim, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            for victim in victims:
                arena.stack.kill(victim, signal.SIGCONT)
        return f"{named(victims)} for {for_s:.1f} s"


@dataclass(frozen=True, kw_only=True)
class RollingRestart:
    """SIGTERM to every process in turn; each is ready again before the next one stops."""

    name: str = "rolling-sigterm"
    family: str = FAMILY
    weight: float = 0.3

    async def strike(self, arena: Arena, chance: random.Random) -> str:
        members = arena.all_members
        chance.shuffle(members)
        slowest_s = 0.0
        for member in members:
            asked_at = monotonic()
            arena.stack.kill(member, signal.SIGTERM)
            await arena.ready(member)
            slowest_s = max(slowest_s, monotonic() - asked_at)
        return f"{len(members)} processes, the slowest back after {slowest_s:.1f} s"


PROCESSES: tuple[Fault, ...] = (
    *(Kill(service=service) for service in SERVICES),
    *(Freeze(service=service) for service in SERVICES),
    RollingRestart(),
)
