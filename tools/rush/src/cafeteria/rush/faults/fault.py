"""What a fault is to the nemesis that throws it."""

import random
from typing import Protocol

from cafeteria.rush.arena import Arena


class HarmDoneError(Exception):
    """A fault that must do no harm did some; says which."""


class Fault(Protocol):
    """`family` groups kinds; `weight` is how often it comes beside the others, less for what takes long."""

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def weight(self) -> float: ...

    async def strike(self, arena: Arena, chance: random.Random, /) -> str:
        """Inflict it, wait, heal it, and return once everything that it hit is whole again; says what it did.

        All that is left to chance is drawn from `chance`, so that a seed repeats it.
        """
        ...


def some(chance: random.Random, members: list[str], *, all_share: float = 0.25) -> list[str]:
    """Mostly one of them, now and then all."""
    if chance.random() < all_share:
        return members
    return [chance.choice(members)]


def named(members: list[str]) -> str:
    return ", ".join(members)
