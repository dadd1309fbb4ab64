"""Plays many schedules, one seed each: which of them break a promise, and the trace of a single one."""

import time
from collections.abc import Iterable

import msgspec

from cafeteria.protocol_model.cafeteria import Cafeteria
from cafeteria.protocol_model.guards import ALL_FAULTS, ALL_GUARDS, Faults, Guards
from cafeteria.protocol_model.schedule import play
from cafeteria.protocol_model.verdict import broken_promises


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """The result of some schedules. `broken` has a sentence for each violation, by the seed that leads to it."""

    schedules: int
    cpu_s: float
    broken: dict[int, list[str]]


def search(seeds: Iterable[int], *, guards: Guards = ALL_GUARDS, faults: Faults = ALL_FAULTS) -> Search:
    """Play all of these schedules."""
    began_s = time.process_time()
    schedules, broken = 0, {}
    for seed in seeds:
        schedules += 1
        if sentences := examine(seed, guards=guards, faults=faults):
            broken[seed] = sentences
    return Search(schedules=schedules, cpu_s=time.process_time() - began_s, broken=broken)


def first_broken(
    seeds: Iterable[int], *, guards: Guards = ALL_GUARDS, faults: Faults = ALL_FAULTS
) -> int | None:
    """The first of these seeds whose schedule breaks a promise; None when all hold."""
    return next((seed for seed in seeds if examine(seed, guards=guards, faults=faults)), None)


def examine(
    seed: int, *, guards: Guards = ALL_GUARDS, faults: Faults = ALL_FAULTS, trace: list[str] | None = None
) -> list[str]:
    """Return the violations of one schedule; its trace is added to `trace`, line by line."""
    cafeteria = Cafeteria(seed, guards=guards, faults=faults, trace=trace)
    play(cafeteria)
    return broken_promises(cafeteria)
