"""Benchmark: twice as many orders as the system can take. The excess is refused at once, and memory does not grow."""

import asyncio
from statistics import median

import msgspec

from cafeteria.bench.environment import Environment, Target, open_environment
from cafeteria.bench.interleaving import PRODUCT, print_progress
from cafeteria.bench.machine import Meter, Usage, alone, resident_bytes
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, Row, row_from
from cafeteria.bench.requests import orders
from cafeteria.bench.speed import SpeedProbe
from cafeteria.bench.steady import CREATED, OVERLOADED, RECEIVED, OpenLoad, Outcome, percentile
from cafeteria.contracts.subjects import GATEWAY
from cafeteria.faultkit import quiescence
from cafeteria.local_stack.tasks import running

NAME = "overload"
MEASURES = "orders accepted a second when twice the capacity is offered, and how soon all is well again"

ACCEPTED_STATUSES = (CREATED, RECEIVED)
SECONDS, ROUNDS, CONNECTIONS = 60.0, 1, 64
WARM_S, CAPACITY_S, RECOVERY_S = 3.0, 15.0, 5.0
OFFERED_TIMES = 2.0
QUIESCENT_WITHIN_S = 60.0
MIB = 1 << 20

LEAST_OF_CAPACITY = 0.9
MOST_P99_S = 2.0
LEAST_AFTERWARDS = 0.9
MOST_GROWTH_MIB = 200.0

CAPACITY, LATER = "capacity", "accepted another 15 s later"
ACCEPTED = "accepted under overload"
P99, UNTIDY = "answer to the accepted, 99 %", "neither accepted nor 503 with Retry-After"
GROWTH, AFTERWARDS = "gateway's growth", f"accepted {RECOVERY_S:g} s afterwards"


class Overload(msgspec.Struct, frozen=True, kw_only=True):
    """One round. Memory is the gateway's.

    Rates are orders a second at one speed of the machine. The tables grow by some 60,000 orders meanwhile, which Postgres
    vacuums: so the capacity is the mean of before and later.
    """

    before: float
    accepted: float
    afterwards: float
    later: float
    outcome: Outcome
    memory_before_mib: float
    memory_most_mib: float
    usage: Usage

    @property
    def capacity(self) -> float:
        return (self.before + self.later) / 2

    @property
    def p99_s(self) -> float:
        return percentile(self.outcome.latencies_ms(*ACCEPTED_STATUSES), 0.99) / 1000

    @property
    def untidy(self) -> int:
        """Requests with another status, with a refusal without Retry-After, or without an answer."""
        refused = sum(each.status == OVERLOADED and each.has_retry_after for each in self.outcome.answers)
        return self.outcome.sent - self.outcome.count(*ACCEPTED_STATUSES) - refused


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    found: list[Overload] = []
    async with open_environment(options) as environment:
        for _ in range(rounds):
            async with environment.product() as target:
                found.append(await _round(environment, target, options))
    return _report(found, options, rounds=rounds)


async def _round(environment: Environment, target: Target, options: Options) -> Overload:
    async with alone(options.lock):
        await _full_speed(environment, target, options, seconds=WARM_S)
        await environment.admin.execute("ANALYZE")
        before = await _full_speed(environment, target, options, seconds=CAPACITY_S)
        meter, watch = Meter(target.pids), _Memory(target.pids[GATEWAY])
        load = OpenLoad(
            target.gateways[0],
            orders(environment.tokens, environment.items),
            rate=before.rate * OFFERED_TIMES,
        )
        async with running(watch.observe()), SpeedProbe() as probe:
            outcome = await load.run(options.seconds or SECONDS)
        usage = meter.read()
        accepted = _Pace(rate=_accepted_in_time(outcome) / outcome.seconds, piece_us=probe.mean_us)
        await asyncio.sleep(RECOVERY_S)
        afterwards = await _full_speed(environment, target, options, seconds=CAPACITY_S)
        later = await _full_speed(environment, target, options, seconds=CAPACITY_S)
    print_progress(
        f"offered {before.rate * OFFERED_TIMES:,.0f}/s; answers "
        f"{ {status: outcome.count(status) for status in {each.status for each in outcome.answers}} }; "
        f"neighbours {usage.others:.0%}"
    )
    usual_us = median(pace.piece_us for pace in (before, accepted, afterwards, later))
    return Overload(
        before=before.at(usual_us),
        accepted=accepted.at(usual_us),
        afterwards=afterwards.at(usual_us),
        later=later.at(usual_us),
        outcome=outcome,
        memory_before_mib=watch.before_mib,
        memory_most_mib=watch.most_mib,
        usage=usage,
    )


class _Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Orders a second, and the CPU time of a fixed piece of work in the same period."""

    rate: float
    piece_us: float

    def at(self, usual_us: float) -> float:
        return self.rate * self.piece_us / usual_us


async def _full_speed(environment: Environment, target: Target, options: Options, *, seconds: float) -> _Pace:
    async with SpeedProbe() as probe:
        connections = options.connections or CONNECTIONS
        load = await environment.place_orders(target, connections=connections, seconds=seconds)
    await quiescence.until_idle(environment.admin, within_s=QUIESCENT_WITHIN_S)
    return _Pace(rate=load.accepted_per_s, piece_us=probe.mean_us)


def _accepted_in_time(outcome: Outcome) -> int:
    """Count the orders accepted during the load; later answers do not belong to its rate."""
    return sum(
        each.after_s <= outcome.seconds for each in outcome.answers if each.status in ACCEPTED_STATUSES
    )


class _Memory:
    """The resident memory of a process, read twice a second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.before_mib = self.most_mib = resident_bytes(pid) / MIB

    async def observe(self) -> None:
        """Read it until cancelled."""
        while True:
            self.most_mib = max(self.most_mib, resident_bytes(self._pid) / MIB)
            await asyncio.sleep(0.5)


def _report(found: list[Overload], options: Options, *, rounds: int) -> Report:
    report = Report(
        name=NAME,
        measures=MEASURES,
        settings={
            "seconds": f"{options.seconds or SECONDS:g}",
            "rounds": str(rounds),
            "offered": "twice the capacity",
        },
        rows=_rows(found),
    )
    return report.with_ratios(
        _of_capacity(report, ACCEPTED, LEAST_OF_CAPACITY),
        Ratio.at_most(report.row(P99), of=PRODUCT, most=MOST_P99_S),
        Ratio.at_most(report.row(UNTIDY), of=PRODUCT, most=0),
        Ratio.at_most(report.row(GROWTH), of=PRODUCT, most=MOST_GROWTH_MIB),
        _of_capacity(report, AFTERWARDS, LEAST_AFTERWARDS),
    )


def _rows(found: list[Overload]) -> tuple[Row, ...]:
    rounds = {PRODUCT: found}
    return (
        row_from("accepted before", "1/s", rounds, lambda each: each.before),
        row_from("sent", "1/s", rounds, lambda each: each.outcome.sent / each.outcome.seconds),
        row_from("unsent: no connection left", "", rounds, lambda each: each.outcome.unsent),
        row_from(ACCEPTED, "1/s", rounds, lambda each: each.accepted),
        row_from(P99, "s", rounds, lambda each: each.p99_s),
        row_from(
            "refused with 503",
            "1/s",
            rounds,
            lambda each: each.outcome.count(OVERLOADED) / each.outcome.seconds,
        ),
        row_from(UNTIDY, "", rounds, lambda each: each.untidy),
        row_from("gateway's memory before", "MiB", rounds, lambda each: each.memory_before_mib),
        row_from(GROWTH, "MiB", rounds, lambda each: each.memory_most_mib - each.memory_before_mib),
        row_from(AFTERWARDS, "1/s", rounds, lambda each: each.afterwards),
        row_from(LATER, "1/s", rounds, lambda each: each.later),
        row_from(CAPACITY, "1/s", rounds, lambda each: each.capacity),
        row_from("machine: stolen", "%", rounds, lambda each: each.usage.steal * 100),
        row_from("machine: neighbours", "%", rounds, lambda each: each.usage.others * 100),
    )


def _of_capacity(report: Report, what: str, target: float) -> Ratio:
    rates, capacity = report.row(what).by[PRODUCT], report.row(CAPACITY).by[PRODUCT]
    both = Row(what=what, unit="", by={PRODUCT: rates, CAPACITY: capacity})
    return Ratio.between(f"{what}, of capacity", both, of=PRODUCT, to=CAPACITY, target=target)
