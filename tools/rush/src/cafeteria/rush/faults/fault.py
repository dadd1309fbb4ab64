"""The interface between a fault and the nemesis that injects it."""

import random
from abc import ABC, abstractmethod

from cafeteria.faultkit.cluster import Cluster

ALL_SHARE = 0.25


class HarmDoneError(Exception):
    """A fault that must do no harm did harm; the message describes it."""


class Fault(ABC):
    """A kind of fault. `family` groups kinds; `weight` is its relative frequency, lower for slow faults."""

    name: str
    family: str
    weight: float = 1.0

    @abstractmethod
    async def inject(self, cluster: Cluster, chance: random.Random, /) -> str:
        """Inject the fault, wait, heal it, and return a description once everything that it hit has recovered.

        All random choices are drawn from `chance`, so that a seed repeats them.
        """


def some(chance: random.Random, processes: list[str]) -> list[str]:
    """Return one of the processes, or all of them with the probability ALL_SHARE."""
    if chance.random() < ALL_SHARE:
        return processes
    return [chance.choice(processes)]


def named(processes: list[str]) -> str:
    return ", ".join(processes)
