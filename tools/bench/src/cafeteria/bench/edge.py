"""Benchmark: orders through the edge beside orders at the gateway's own port, and what the edge takes for a request."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from cafeteria.bench.environment import open_environment
from cafeteria.bench.flow import Flow, Round, run_round
from cafeteria.bench.interleaving import Contender, interleave
from cafeteria.bench.machine import resident_bytes
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, Row, row_from, row_of
from cafeteria.bench.tables import ACCEPTED, at_one_speed, flow_report
from cafeteria.local_stack.edge import EDGE

NAME = "edge"
MEASURES = (
    "orders accepted a second through the edge, beside the gateway's own port; the edge's CPU and memory"
)

SECONDS, ROUNDS, CONNECTIONS = 15.0, 3, 64
IDLE_S = 5.0
MIB = 1 << 20
DIRECT, THROUGH = "at the gateway", "through the edge"
CPU, RESIDENT = "edge: CPU per request", "edge: resident at rest"

LEAST_OF_DIRECT = 0.90
MOST_US = 150.0
MOST_MIB = 80.0


async def run(options: Options) -> Report:
    async with open_environment(options, with_edge=True) as environment:
        flow = Flow(
            seconds=options.seconds or SECONDS,
            connections=options.connections or CONNECTIONS,
            items=environment.items,
        )
        await asyncio.sleep(IDLE_S)
        at_rest = resident_bytes(environment.stack.pid(EDGE)) / MIB

        async def measure(contender: Contender) -> Round:
            async with environment.product() as product:
                through = msgspec.structs.replace(product, gateways=(environment.stack.url(EDGE),))
                target = through if contender.name == THROUGH else product
                return await run_round(environment, target, flow, options)

        contenders = [Contender(name=name, flow=flow) for name in (DIRECT, THROUGH)]
        interleaving = await interleave(contenders, measure, rounds=options.rounds or ROUNDS)
    resident = row_of(RESIDENT, "MiB", {THROUGH: [at_rest]})
    rows = [cpu_row(interleaving.rounds), resident]
    report = flow_report(NAME, MEASURES, flow, interleaving, rows=rows)
    return report.with_ratios(
        Ratio.between(
            "accepted, of those at the gateway",
            at_one_speed(report, ACCEPTED),
            of=THROUGH,
            to=DIRECT,
            target=LEAST_OF_DIRECT,
        ),
        Ratio.at_most(at_one_speed(report, CPU), of=THROUGH, most=MOST_US),
        Ratio.at_most(resident, of=THROUGH, most=MOST_MIB),
    )


def cpu_row(rounds: Mapping[str, Sequence[Round]]) -> Row:
    """Return the edge's CPU for each request under load, all of them on connections that stay open."""
    return row_from(CPU, "µs", {THROUGH: rounds[THROUGH]}, _edge_us)


def _edge_us(found: Round) -> float:
    return found.usage.cpu_s[EDGE] / max(1, sum(found.load.answers.values())) * 1e6
