"""Benchmark: CPU of an order, and waits of students, with millions of old orders in the tables."""

import asyncio
import os
from datetime import UTC, datetime
from time import monotonic
from urllib.parse import urlsplit

import msgspec

from cafeteria.bench import old_orders, requests
from cafeteria.bench.environment import Environment, Target, open_environment
from cafeteria.bench.flow import Flow, Round, run_round
from cafeteria.bench.interleaving import Contender, Interleaving, interleave, print_progress
from cafeteria.bench.machine import alone
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, Row, row_from
from cafeteria.bench.steady import OK, ClosedLoad, percentile
from cafeteria.bench.tables import CPU, at_one_speed, flow_report

NAME = "history"
MEASURES = "CPU for an order among 5 million old ones, beside the same with none"

SECONDS, ROUNDS, CONNECTIONS = 15.0, 3, 64
OLD_ORDERS = int(os.environ.get("CAFETERIA_BENCH_OLD_ORDERS", "5000000"))
OLD_STUDENTS = 5_000
READ_S = 3.0
STREAMS = 100
MOST_OF_EMPTY = 1.1
MOST_WAIT_OF_EMPTY = 1.25
NONE, MANY = "none", "old orders"


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Medians."""

    list_ms: float
    stream_ms: float


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    waits: dict[str, list[Waits]] = {NONE: [], MANY: []}
    async with open_environment(options) as environment:
        flow = Flow(
            seconds=options.seconds or SECONDS,
            connections=options.connections or CONNECTIONS,
            items=environment.items,
        )

        async def measure(contender: Contender) -> Round:
            # a stream opens with its student's last orders, whose number grows equally for both contenders
            is_first = contender.name == NONE and not waits[NONE]
            async with environment.product(keep=not is_first) as target:
                found = await run_round(environment, target, flow, options)
                async with alone(options.lock):
                    waits[contender.name].append(await _waits(environment, target))
            return found

        none = await interleave([Contender(name=NONE, flow=flow)], measure, rounds=rounds)
        await _load(environment, options)
        many = await interleave([Contender(name=MANY, flow=flow)], measure, rounds=rounds)
    interleaving = Interleaving(rounds={**none.rounds, **many.rounds}, remarks=[*none.remarks, *many.remarks])
    return _report(interleaving, waits, flow)


async def _load(environment: Environment, options: Options) -> None:
    began_at = monotonic()
    await environment.clean()
    students = [
        *environment.students,
        *(f"old-{number}" for number in range(OLD_STUDENTS - len(environment.students))),
    ]
    past = old_orders.Past(
        orders=OLD_ORDERS, students=students, items=environment.items, now=datetime.now(UTC)
    )
    async with alone(options.lock):
        await old_orders.load(environment.stack.servers.postgres_admin_url, past)
        await environment.admin.execute("VACUUM ANALYZE")
        await environment.admin.execute("CHECKPOINT")
    size = await environment.admin.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
    print_progress(f"{OLD_ORDERS:,} old orders loaded in {monotonic() - began_at:,.0f} s: {size}")


async def _waits(environment: Environment, target: Target) -> Waits:
    """Measure with one student after another, on an otherwise idle system."""
    lists = await ClosedLoad(target.gateways[0], requests.lists(environment.tokens)).run(
        READ_S, connections=1
    )
    connects = [await _first_event_ms(target.notification, token) for token in environment.tokens[:STREAMS]]
    return Waits(list_ms=percentile(lists.latencies_ms(OK), 0.5), stream_ms=percentile(sorted(connects), 0.5))


async def _first_event_ms(url: str, token: str) -> float:
    """Return the time from the request for a stream to its first block with an id."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        began_at = monotonic()
        writer.write(requests.stream(token))
        async with asyncio.timeout(READ_S):
            await reader.readuntil(b"\nid: ")
        return (monotonic() - began_at) * 1000
    finally:
        writer.transport.abort()


def _report(interleaving: Interleaving, waits: dict[str, list[Waits]], flow: Flow) -> Report:
    lists = row_from("GET /v1/orders, median", "ms", waits, lambda each: each.list_ms)
    streams = row_from("GET /v1/events to the first event, median", "ms", waits, lambda each: each.stream_ms)
    report = flow_report(NAME, MEASURES, flow, interleaving, rows=(lists, streams))
    report.settings["old orders"] = f"{OLD_ORDERS:,}"

    def at_most(what: str, of_row: Row, target: float) -> Ratio:
        return Ratio.between(what, of_row, of=MANY, to=NONE, target=target, at_least=False)

    return report.with_ratios(
        at_most("CPU per order, of that with none", at_one_speed(report, CPU), MOST_OF_EMPTY),
        at_most("GET /v1/orders, of that with none", lists, MOST_WAIT_OF_EMPTY),
        at_most("first event, of that with none", streams, MOST_WAIT_OF_EMPTY),
    )
