"""Offer orders at one rate after another and print their cost as JSON: a script that the measured commit runs.

`curve` gives this file to the interpreter of each commit, so that both are measured in the same way. Each import from
this project must exist under this name in the other commit, too.
"""

import asyncio
import sys
from pathlib import Path

import aiohttp
import msgspec

from cafeteria.bench import consistency
from cafeteria.bench.environment import Environment, Target, silence_bus
from cafeteria.bench.generator import place_orders
from cafeteria.bench.machine import Meter, alone
from cafeteria.bench.requests import orders
from cafeteria.bench.speed import SpeedProbe
from cafeteria.bench.steady import CREATED, RECEIVED, OpenLoad, percentile
from cafeteria.faultkit import quiescence
from cafeteria.local_stack.data_directory import temporary_data_directory

WARM_S, QUIESCENT_WITHIN_S = 3.0, 60.0
FULL_LOAD = 0
"""The rate that means: as many orders as the connections take."""

_WAL_SYNCS = "SELECT sum(fsyncs)::float8 FROM pg_stat_io WHERE object = 'wal'"


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """The rates to offer, in orders a second, one after another. `lock` is a file that is locked while each is measured."""

    rates: tuple[int, ...]
    seconds: float
    connections: int
    lock: str | None = None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One rate. CPU (seconds, by process) and flushes include the time until all orders are carried; times are milliseconds.

    `wal_syncs` are Postgres' flushes. `stored` are JetStream's messages: under `sync_interval: always` each of them is a
    flush, except in an atomic batch, which takes about four. `disk_flushes` are those of this machine's disks, by all
    processes; 0 where the system does not count them.
    """

    rate: int
    seconds: float
    accepted: int
    p50_ms: float
    p99_ms: float
    cpu_s: dict[str, float]
    wal_syncs: float
    stored: float
    disk_flushes: float
    piece_us: float
    steal: float
    others: float
    errors: list[str]


class _Answers(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    accepted: int
    p50_ms: float
    p99_ms: float


class _Flushes(msgspec.Struct, frozen=True, kw_only=True):
    wal_syncs: float
    stored: float
    disk_flushes: float


async def sweep(plan: Sweep) -> list[Point]:
    """Measure each rate on empty tables, with services started for it."""
    points = []
    with temporary_data_directory() as data_directory:
        async with Environment(data_directory) as environment:
            for rate in plan.rates:
                async with environment.product() as target, alone(Path(plan.lock) if plan.lock else None):
                    points.append(await _measure(environment, target, plan, rate))
                print(_describe(points[-1]), file=sys.stderr)  # noqa: T201 - progress, for a person
    return points


async def _measure(environment: Environment, target: Target, plan: Sweep, rate: int) -> Point:
    since = consistency.moment()
    warm = await _offer(environment, target, plan, rate=rate, seconds=WARM_S)
    await quiescence.until_idle(environment.admin, within_s=QUIESCENT_WITHIN_S)
    await environment.admin.execute("ANALYZE")  # otherwise plans depend on the last autovacuum
    before, meter = await _flushes(environment), Meter(target.pids)
    async with SpeedProbe() as probe:
        answers = await _offer(environment, target, plan, rate=rate, seconds=plan.seconds)
    await quiescence.until_idle(environment.admin, within_s=QUIESCENT_WITHIN_S)
    usage, after = meter.read(), await _flushes(environment)
    stored, accepted = (
        await consistency.read(environment.admin, since=since),
        warm.accepted + answers.accepted,
    )
    errors = await consistency.find_errors(
        environment.admin, stored, accepted=accepted, unanswered=2 * plan.connections
    )
    return Point(
        rate=rate,
        **msgspec.structs.asdict(answers),
        wal_syncs=after.wal_syncs - before.wal_syncs,
        stored=after.stored - before.stored,
        disk_flushes=after.disk_flushes - before.disk_flushes,
        cpu_s=usage.cpu_s,
        piece_us=probe.mean_us,
        steal=usage.steal,
        others=usage.others,
        errors=errors,
    )


async def _offer(
    environment: Environment, target: Target, plan: Sweep, *, rate: int, seconds: float
) -> _Answers:
    if rate == FULL_LOAD:
        load = await place_orders(
            target.gateways,
            tokens=environment.tokens,
            items=environment.items,
            connections=plan.connections,
            seconds=seconds,
        )
        return _Answers(seconds=load.seconds, accepted=load.accepted, p50_ms=load.p50_ms, p99_ms=load.p99_ms)
    outcome = await OpenLoad(
        target.gateways[0], orders(environment.tokens, environment.items), rate=rate
    ).run(seconds)
    times_ms = outcome.latencies_ms(CREATED, RECEIVED)
    return _Answers(
        seconds=outcome.seconds,
        accepted=len(times_ms),
        p50_ms=percentile(times_ms, 0.5),
        p99_ms=percentile(times_ms, 0.99),
    )


async def _flushes(environment: Environment) -> _Flushes:
    """Read counters since the servers started. Sessions report theirs once a second, so some are a second late."""
    return _Flushes(
        wal_syncs=await environment.admin.fetchval(_WAL_SYNCS),
        stored=await _stored(environment.stack.servers.monitor_url or ""),
        disk_flushes=_disk_flushes(),
    )


async def _stored(monitor_url: str) -> float:
    """Return the number of messages that all streams have ever stored."""
    async with aiohttp.ClientSession() as http, http.get(f"{monitor_url}/jsz?streams=true") as response:
        answer = await response.json()
    accounts = answer.get("account_details", ())
    return float(sum(stream["state"]["last_seq"] for each in accounts for stream in each["stream_detail"]))


def _disk_flushes() -> float:
    """Sum the sixteenth field of each disk's `stat`; only physical disks have a `device`."""
    disks = (disk for disk in Path("/sys/block").glob("*") if (disk / "device").exists())
    counters = ((disk / "stat").read_text().split() for disk in disks)
    return float(sum(int(each[15]) for each in counters if len(each) > 15))  # noqa: PLR2004 - from Linux 5.5 on


def _describe(point: Point) -> str:
    orders_ = max(1, point.accepted)
    return (
        f"  {point.rate or 'all'} offered: {point.accepted / point.seconds:,.0f} accepted/s, "
        f"{sum(point.cpu_s.values()) / orders_ * 1e6:,.0f} µs and "
        f"{(point.wal_syncs + point.stored) / orders_:.2f} flushes for each, "
        f"{point.p50_ms:.1f} ms, 99 % {point.p99_ms:.1f} ms; "
        f"stolen {point.steal:.0%}, neighbours {point.others:.0%}"
    )


def main(argument: str) -> None:
    silence_bus()
    points = asyncio.run(sweep(msgspec.json.decode(argument, type=Sweep)))
    sys.stdout.buffer.write(msgspec.json.encode(points))


if __name__ == "__main__":
    main(sys.argv[1])
