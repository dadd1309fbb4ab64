"""Injects faults by a schedule that a seed repeats: in waves of one, two or three, each healed before the next.

Each fault draws its details from its own random generator, so they do not depend on how long other faults took.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence

import asyncpg
import msgspec
import nats.errors

from cafeteria.chassis.messaging.jetstream_api import Refused
from cafeteria.faultkit.cluster import Cluster, NeverReadyError
from cafeteria.rush.faults.fault import Fault, HarmDoneError
from cafeteria.rush.load_control import LoadControl

WAVE_SIZES = {1: 0.6, 2: 0.28, 3: 0.12}
STAGGER_S = (0.0, 1.2)
"""The delay of a fault after the first one of its wave."""
PAUSE_S = (0.2, 1.5)
"""The pause between two waves."""
WAVES_AHEAD = 2
"""The load clients may be this many waves of orders ahead of the finished waves."""


class PlannedInjection(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    name: str
    after_s: float


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    injections: tuple[PlannedInjection, ...]
    pause_s: float


class Injection(msgspec.Struct, kw_only=True):
    """A fault that was injected; `healed_at_s` is None while it lasts."""

    number: int
    name: str
    began_at_s: float
    healed_at_s: float | None = None
    detail: str = ""
    missed: str = ""
    """Why it could not be injected completely: another fault prevented it."""
    failure: str = ""
    """What did not recover, or what harm a harmless fault did."""

    @property
    def lasted_s(self) -> float:
        return (self.healed_at_s or self.began_at_s) - self.began_at_s


def plan(kinds: Mapping[str, Fault], *, faults: int, seed: int) -> list[Wave]:
    """Return the schedule for a seed, count and kinds, always the same; each kind is as frequent as its weight."""
    chance = random.Random(f"{seed}:schedule")  # noqa: S311 - repeatable on purpose
    names = _dealt(kinds, faults=faults, chance=chance)
    waves = []
    number = 0
    while number < len(names):
        size = chance.choices(list(WAVE_SIZES), weights=list(WAVE_SIZES.values()))[0]
        share = names[number : number + size]
        injections = tuple(
            PlannedInjection(
                number=number + place, name=name, after_s=chance.uniform(*STAGGER_S) if place else 0.0
            )
            for place, name in enumerate(share)
        )
        waves.append(Wave(injections=injections, pause_s=chance.uniform(*PAUSE_S)))
        number += len(share)
    return waves


def _dealt(kinds: Mapping[str, Fault], *, faults: int, chance: random.Random) -> list[str]:
    """Draw names from shuffled decks, so that none is missed: a kind of weight 0.3 is in every third or fourth deck."""
    names: list[str] = []
    due = {name: chance.random() for name in kinds}
    while kinds and len(names) < faults:
        deck = []
        for name, fault in kinds.items():
            due[name] += fault.weight
            if due[name] >= 1:
                due[name] -= 1
                deck.append(name)
        chance.shuffle(deck)
        names += deck
    return names[:faults]


class Nemesis:
    """The fault injector. `injections` has all injected faults, in the order in which they began."""

    def __init__(
        self,
        cluster: Cluster,
        load_control: LoadControl,
        kinds: Mapping[str, Fault],
        *,
        waves: Sequence[Wave],
        seed: int,
    ) -> None:
        self._cluster = cluster
        self.load_control = load_control
        self._kinds = kinds
        self._waves = waves
        self.seed = seed
        self.planned = sum(len(wave.injections) for wave in waves)
        self.injections: list[Injection] = []

    @property
    def failures(self) -> list[str]:
        """Sentences about faults that did not heal or did harm."""
        return [
            f"{injection.name}: {injection.failure}" for injection in self.injections if injection.failure
        ]

    async def run(self) -> None:
        """Run all waves, spread evenly over the orders. A fault that cannot be injected is noted and skipped."""
        share = self.load_control.orders / (len(self._waves) + 1)
        for number, wave in enumerate(self._waves):
            self.load_control.allow(round(share * (number + WAVES_AHEAD)))
            await self.load_control.until_begun(round(share * number))
            await asyncio.gather(*(self.inject(planned) for planned in wave.injections))
            if number + 1 < len(self._waves):
                await asyncio.sleep(wave.pause_s)
        self.load_control.allow(self.load_control.orders)

    async def inject(self, planned: PlannedInjection) -> None:
        """Inject the fault and return once it is healed."""
        await asyncio.sleep(planned.after_s)
        injection = Injection(number=planned.number, name=planned.name, began_at_s=self._cluster.now_s)
        self.injections.append(injection)
        chance = random.Random(f"{self.seed}:{planned.number}")  # noqa: S311 - repeatable on purpose
        try:
            injection.detail = await self._kinds[planned.name].inject(self._cluster, chance)
        except (NeverReadyError, HarmDoneError) as error:
            injection.failure = str(error)
        except (nats.errors.Error, asyncpg.PostgresError, Refused, TimeoutError, OSError) as error:
            injection.missed = repr(error)
        injection.healed_at_s = self._cluster.now_s
