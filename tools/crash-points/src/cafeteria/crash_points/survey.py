"""Finds the crash points: the messages of a few runs without crashes, on fresh processes and on used ones.

A fresh process prepares its statements and takes longer paths. Points that only fresh processes have are marked and
tried on a fresh process.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

import msgspec

from cafeteria.crash_points.environment import KILLABLE_SERVICES, Environment
from cafeteria.crash_points.points import Kind, Moment, Point
from cafeteria.crash_points.rounds import Rounds
from cafeteria.crash_points.wire_proxy import Place

RUNS_EACH = 3  # the first on fresh processes, the second on hardly used ones


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    background: frozenset[tuple[Place, str]]
    points: tuple[Point, ...]
    fresh: frozenset[tuple[str, Kind, int]]
    """Messages by scenario, kind and number that only a process without earlier orders exchanges."""

    def needs_fresh(self, point: Point) -> bool:
        return (point.scenario, point.kind, point.number) in self.fresh


async def survey(environment: Environment, scenarios: Iterable[str], *, fresh_starts: int) -> Survey:
    rounds = Rounds(environment)
    await rounds.record("order")  # what runs only after an order is background too
    rounds.background = await rounds.record_background()
    points: list[Point] = []
    fresh: set[tuple[str, Kind, int]] = set()
    for scenario in scenarios:
        first, later = await _passed(rounds, scenario, fresh_starts=fresh_starts)
        for kind, count in sorted((first | later).items()):
            numbers = range(1, count + 1)
            fresh |= {(scenario, kind, number) for number in numbers if number > later[kind]}
            points += [Point(scenario, kind, number, moment) for number in numbers for moment in Moment]
    return Survey(background=rounds.background, points=tuple(points), fresh=frozenset(fresh))


async def _passed(rounds: Rounds, scenario: str, *, fresh_starts: int) -> tuple[Counter[Kind], Counter[Kind]]:
    """Return the highest count of each kind, in runs on fresh processes and in runs on used ones."""
    first: Counter[Kind] = Counter()
    later: Counter[Kind] = Counter()
    for _ in range(fresh_starts):
        await refresh(rounds.environment, KILLABLE_SERVICES)
        first |= await rounds.record(scenario)
        for _ in range(1, RUNS_EACH):
            later |= await rounds.record(scenario)
    return first, later


async def refresh(environment: Environment, services: Iterable[str]) -> None:
    """Restart these services, so that their processes have seen no order."""
    killables = [environment.killables[service] for service in services]
    await asyncio.gather(*(killable.restart() for killable in killables))
    await asyncio.gather(*(killable.ready(environment.http) for killable in killables))
