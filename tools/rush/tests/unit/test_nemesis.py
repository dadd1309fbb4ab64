"""A seed alone decides the schedule; every kind is in it; a prevented fault stops nothing."""

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from cafeteria.faultkit.cluster import NeverReadyError
from cafeteria.rush.campaign import selected
from cafeteria.rush.faults import KINDS, NOT_HERE
from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.load_control import LoadControl
from cafeteria.rush.nemesis import Nemesis, Wave, plan


def names(waves: list[Wave]) -> list[str]:
    return [injection.name for wave in waves for injection in wave.injections]


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert plan(KINDS, faults=200, seed=7) == plan(KINDS, faults=200, seed=7)


def test_another_seed_gives_another_schedule() -> None:
    assert plan(KINDS, faults=200, seed=7) != plan(KINDS, faults=200, seed=8)


def test_the_schedule_has_the_requested_number_of_numbered_faults() -> None:
    injections = [injection for wave in plan(KINDS, faults=123, seed=1) for injection in wave.injections]
    assert [injection.number for injection in injections] == list(range(123))


def test_500_faults_have_every_kind_alone_and_mixed() -> None:
    waves = plan(KINDS, faults=500, seed=3)
    assert set(names(waves)) == set(KINDS)
    sizes = Counter(len(wave.injections) for wave in waves)
    assert set(sizes) == {1, 2, 3}
    alone = {wave.injections[0].name for wave in waves if len(wave.injections) == 1}
    assert len(alone) > len(KINDS) / 2


def test_a_kind_of_less_weight_is_as_frequent_as_its_weight() -> None:
    kinds = {
        name: Scripted(name, "done", weight=weight) for name, weight in {"often": 1.0, "seldom": 0.3}.items()
    }
    counts = Counter(names(plan(kinds, faults=130, seed=5)))
    assert counts["often"] in {99, 100, 101}


def test_no_faults_are_no_waves() -> None:
    assert plan(KINDS, faults=0, seed=1) == []


def test_kinds_are_chosen_by_name_and_by_family() -> None:
    assert set(selected(("kill-stock",))) == {"kill-stock"}
    assert set(selected(("messages", "kill-stock"))) == {
        "kill-stock",
        "messages-duplicated",
        "messages-reordered",
        "messages-lost",
        "history-replayed",
        "poison",
        "poison-item",
        "messages-repacked",
    }
    assert set(selected(())) == set(KINDS) - set(NOT_HERE)


def test_a_kind_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="no kind of fault is called meteor;"):
        selected(("meteor",))


@dataclass
class Scripted(Fault):
    """A fault that records its random generator and then runs the given function."""

    name: str
    outcome: str | Exception
    family: str = "scripted"
    weight: float = 1.0

    def __post_init__(self) -> None:
        self.drawn: list[float] = []

    async def inject(self, cluster: object, chance: random.Random) -> str:
        self.drawn.append(chance.random())
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Clock:
    now_s = 3.0


async def injected(*faults: Scripted, count: int, seed: int = 1) -> Nemesis:
    kinds = {fault.name: fault for fault in faults}
    waves = plan(kinds, faults=count, seed=seed)
    nemesis = Nemesis(Clock(), LoadControl(orders=0), kinds, waves=waves, seed=seed)  # type: ignore[arg-type]
    await nemesis.run()
    return nemesis


async def test_the_seed_decides_the_details_of_each_fault() -> None:
    first, second = Scripted("a", "done"), Scripted("a", "done")
    await injected(first, count=3)
    await injected(second, count=3)
    assert first.drawn == second.drawn
    assert len(set(first.drawn)) == 3


async def test_a_prevented_fault_is_noted_and_the_others_are_injected() -> None:
    nemesis = await injected(Scripted("a", TimeoutError("no bus")), Scripted("b", "done"), count=2)
    assert {injection.name: bool(injection.missed) for injection in nemesis.injections} == {
        "a": True,
        "b": False,
    }
    assert nemesis.failures == []


async def test_a_process_that_does_not_recover_is_a_failure() -> None:
    nemesis = await injected(Scripted("kill-stock", NeverReadyError("stock was not ready")), count=1)
    assert nemesis.failures == ["kill-stock: stock was not ready"]
