"""Throws faults by a schedule that a seed repeats: in waves of one, two or three, each whole again before the next.

What a fault does in detail is drawn from a chance of its own, so it does not depend on how long the others took.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence

import asyncpg
import msgspec
import nats.errors

from cafeteria.chassis.bus.jetstream_api import Refused
from cafeteria.rush.arena import Arena, NeverReadyError
from cafeteria.rush.faults.fault import Fault, HarmDoneError
from cafeteria.rush.pace import Pace

WAVE_SIZES = {1: 0.6, 2: 0.28, 3: 0.12}
STAGGER_S = (0.0, 1.2)
"""Faults of one wave begin up to so much apart."""
REST_S = (0.2, 1.5)
"""Between two waves."""
WAVES_AHEAD = 2
"""The crowd may have begun the orders of so many waves more than are over."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    name: str
    after_s: float


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    strikes: tuple[Planned, ...]
    rest_s: float


class Strike(msgspec.Struct, kw_only=True):
    """A fault that was thrown; `healed_at_s` is None while it lasts."""

    number: int
    name: str
    began_at_s: float
    healed_at_s: float | None = None
    detail: str = ""
    missed: str = ""
    """Why it could not be thrown, or not whole: another one was in its way."""
    failure: str = ""
    """What did not come back, or what harm a harmless fault did."""

    @property
    def lasted_s(self) -> float:
        return (self.healed_at_s or self.began_at_s) - self.began_at_s


def plan(kinds: Mapping[str, Fault], *, faults: int, seed: int) -> list[Wave]:
    """The same seed, count and kinds give the same schedule; each kind comes as often as its weight says."""
    chance = random.Random(f"{seed}:schedule")  # noqa: S311 - repeatable on purpose
    names = _dealt(kinds, faults=faults, chance=chance)
    waves = []
    number = 0
    while number < len(names):
        size = chance.choices(list(WAVE_SIZES), weights=list(WAVE_SIZES.values()))[0]
        share = names[number : number + size]
        strikes = tuple(
            Planned(number=number + place, name=name, after_s=chance.uniform(*STAGGER_S) if place else 0.0)
            for place, name in enumerate(share)
        )
        waves.append(Wave(strikes=strikes, rest_s=chance.uniform(*REST_S)))
        number += len(share)
    return waves


def _dealt(kinds: Mapping[str, Fault], *, faults: int, chance: random.Random) -> list[str]:
    """Names as from shuffled decks, so that none is forgotten: a kind of weight 0.3 is in every third or fourth."""
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
    """`strikes` has all that were thrown, in the order in which they began."""

    def __init__(
        self, arena: Arena, pace: Pace, kinds: Mapping[str, Fault], *, waves: Sequence[Wave], seed: int
    ) -> None:
        self._arena = arena
        self.pace = pace
        self._kinds = kinds
        self._waves = waves
        self.seed = seed
        self.planned = sum(len(wave.strikes) for wave in waves)
        self.strikes: list[Strike] = []

    @property
    def failures(self) -> list[str]:
        """What did not come back, and what did harm."""
        return [f"{strike.name}: {strike.failure}" for strike in self.strikes if strike.failure]

    async def run(self) -> None:
        """All waves, spread evenly over the orders. A fault that cannot be thrown is noted and passed."""
        share = self.pace.orders / (len(self._waves) + 1)
        for number, wave in enumerate(self._waves):
            self.pace.allow(round(share * (number + WAVES_AHEAD)))
            await self.pace.until_begun(round(share * number))
            await asyncio.gather(*(self.throw(planned) for planned in wave.strikes))
            if number + 1 < len(self._waves):
                await asyncio.sleep(wave.rest_s)
        self.pace.allow(self.pace.orders)

    async def throw(self, planned: Planned) -> None:
        """Returns once it is healed."""
        await asyncio.sleep(planned.after_s)
        strike = Strike(number=planned.number, name=planned.name, began_at_s=self._arena.now_s)
        self.strikes.append(strike)
        chance = random.Random(f"{self.seed}:{planned.number}")  # noqa: S311 - repeatable on purpose
        try:
            strike.detail = await self._kinds[planned.name].strike(self._arena, chance)
        except (NeverReadyError, HarmDoneError) as error:
            strike.failure = str(error)
        except (nats.errors.Error, asyncpg.PostgresError, Refused, TimeoutError, OSError) as error:
            strike.missed = repr(error)
        strike.healed_at_s = self._arena.now_s
