"""Benchmark: memory of each of many open event streams of one process, and events shown a second."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, time
from urllib.parse import urlsplit

import msgspec

from cafeteria.bench.environment import Environment, System, Target, open_environment
from cafeteria.bench.interleaving import FLOOR, PRODUCT, print_progress
from cafeteria.bench.machine import Meter, Usage, alone, resident_bytes
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, row_from
from cafeteria.bench.stream_client import Counted, StreamPlan, allow_descriptors
from cafeteria.bench.synthetic_events import publish_events
from cafeteria.contracts.subjects import NOTIFICATION
from cafeteria.local_stack.polling import is_true_within

NAME = "sse"
MEASURES = "15,000 open event streams in one process: memory for each, and events shown a second"

ROUNDS, STREAMS, STREAMS_PER_STUDENT = 1, 15_000, 10
SPARE_DESCRIPTORS = 1_000
EVENTS = 5_000  # status events; each shows two statuses on ten streams
SHOWN_PER_EVENT = 2 * STREAMS_PER_STUDENT
IDLE_S = 3.0
ANSWER_WITHIN_S = 15.0
SHOWN_WITHIN_S = 90.0
OPEN_WITHIN_S = 300.0
KIB = 1 << 10

MOST_KIB = 30.0
LEAST_EVENTS = 20_000.0


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    open: int
    open_s: float
    kib_each: float
    events: int
    events_per_s: float
    cpu_us: float
    usage: Usage


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    streams = min(options.connections or STREAMS, allow_descriptors() - SPARE_DESCRIPTORS)
    found: dict[str, list[Measurement]] = {FLOOR: [], PRODUCT: []}
    async with open_environment(options) as environment:
        systems: dict[str, System] = {FLOOR: environment.floor, PRODUCT: environment.product}
        for number in range(1, rounds + 1):
            for name, system in systems.items():
                async with system() as target, alone(options.lock):
                    found[name].append(await _measure(environment, target, streams))
                _print_round(number, name, found[name][-1])
    return _report(found, streams, rounds=rounds)


async def _measure(environment: Environment, target: Target, streams: int) -> Measurement:
    students = [f"watcher-{number}" for number in range(streams // STREAMS_PER_STUDENT)]
    pid = target.pids[NOTIFICATION]
    await asyncio.sleep(IDLE_S)
    before, began_at = resident_bytes(pid), monotonic()
    async with _watching(target, environment.sign(students)) as client:
        opened = await client.opened()
        open_s = monotonic() - began_at
        await asyncio.sleep(IDLE_S)
        grown = resident_bytes(pid) - before
        meter, began_at = Meter(target.pids), time()
        await publish_events(environment.stack.servers.nats_admin_url, students, EVENTS)
        shown = await client.shown(EVENTS * SHOWN_PER_EVENT)
        usage = meter.read()
    return Measurement(
        open=opened.open,
        open_s=open_s,
        kib_each=grown / KIB / max(1, opened.open),
        events=shown.events,
        events_per_s=shown.events / max(0.001, shown.last_at - began_at),
        cpu_us=usage.cpu_s[NOTIFICATION] / max(1, shown.events) * 1e6,
        usage=usage,
    )


class _Client:
    def __init__(self, process: asyncio.subprocess.Process, plan: StreamPlan) -> None:
        self._process = process
        self._plan = plan

    async def opened(self) -> Counted:
        return await self._ask(msgspec.json.encode(self._plan), within_s=OPEN_WITHIN_S)

    async def shown(self, events: int) -> Counted:
        """Wait until that many events were counted, for at most SHOWN_WITHIN_S."""

        async def all_shown() -> bool:
            return (await self._ask(b"", within_s=ANSWER_WITHIN_S)).events >= events

        await is_true_within(SHOWN_WITHIN_S, all_shown, poll_s=0.2)
        return await self._ask(b"", within_s=ANSWER_WITHIN_S)

    async def _ask(self, line: bytes, *, within_s: float) -> Counted:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the client has no pipes")
        self._process.stdin.write(line + b"\n")
        async with asyncio.timeout(within_s):
            return msgspec.json.decode(await self._process.stdout.readline(), type=Counted)


@asynccontextmanager
async def _watching(target: Target, tokens: tuple[str, ...]) -> AsyncIterator[_Client]:
    address = urlsplit(target.notification)
    plan = StreamPlan(
        host=str(address.hostname),
        port=address.port or 80,
        tokens=tokens,
        streams_per_token=STREAMS_PER_STUDENT,
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cafeteria.bench.stream_client"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield _Client(process, plan)
    finally:
        process.kill()
        await process.wait()


def _print_round(number: int, name: str, found: Measurement) -> None:
    print_progress(
        f"round {number}, {name}: {found.open:,} open after {found.open_s:.0f} s, {found.kib_each:.1f} KiB each, "
        f"{found.events:,} events at {found.events_per_s:,.0f}/s, {found.cpu_us:.0f} µs each; "
        f"stolen {found.usage.steal:.0%}, neighbours {found.usage.others:.0%} (the reader among them)"
    )


def _report(found: dict[str, list[Measurement]], streams: int, *, rounds: int) -> Report:
    opened = row_from("streams open at once", "", found, lambda each: each.open)
    memory = row_from("memory for each", "KiB", found, lambda each: each.kib_each)
    shown = row_from("events shown", "1/s", found, lambda each: each.events_per_s)
    whole = row_from(
        "events that came, of those sent", "", found, lambda each: each.events / (EVENTS * SHOWN_PER_EVENT)
    )
    return Report(
        name=NAME,
        measures=MEASURES,
        settings={
            "streams": str(streams),
            "students": str(streams // STREAMS_PER_STUDENT),
            "rounds": str(rounds),
        },
        rows=(
            opened,
            row_from("until all are open", "s", found, lambda each: each.open_s),
            memory,
            shown,
            row_from("CPU of notification for an event", "µs", found, lambda each: each.cpu_us),
            whole,
            row_from("machine: stolen", "%", found, lambda each: each.usage.steal * 100),
            row_from("machine: neighbours and reader", "%", found, lambda each: each.usage.others * 100),
        ),
        ratios=(
            Ratio(what="streams open", values=opened.by[PRODUCT], target=float(STREAMS)),
            Ratio(
                what="memory for each", values=memory.by[PRODUCT], target=MOST_KIB, at_least=False, unit="KiB"
            ),
            Ratio(what="events shown", values=shown.by[PRODUCT], target=LEAST_EVENTS, unit="1/s"),
            Ratio(what="events that came", values=whole.by[PRODUCT], target=1.0),
        ),
    )
