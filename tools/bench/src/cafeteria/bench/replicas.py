"""Benchmark: two gateways and two stocks beside one of each. On two cores that gains nothing; it must cost little."""

import aiohttp

from cafeteria.bench.environment import Environment, Target, open_environment
from cafeteria.bench.flow import Flow, Round, run_round
from cafeteria.bench.interleaving import Contender, interleave
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, row_of
from cafeteria.bench.tables import ACCEPTED, at_one_speed, flow_report
from cafeteria.contracts.subjects import GATEWAY, STOCK
from cafeteria.local_stack.plan import service_of

NAME = "replicas"
MEASURES = "orders accepted a second by two gateways and two stocks, beside one of each"

SECONDS, ROUNDS, CONNECTIONS = 15.0, 3, 64
LEAST_OF_ONE = 0.90
ONE, TWO = "one of each", "two of each"
CONFLICTS = "stock_batch_conflicts_total"


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    conflicts: dict[str, list[float]] = {ONE: [], TWO: []}
    async with open_environment(options, replicas={GATEWAY: 2, STOCK: 2}) as environment:
        flow = Flow(
            seconds=options.seconds or SECONDS,
            connections=options.connections or CONNECTIONS,
            items=environment.items,
        )

        async def measure(contender: Contender) -> Round:
            async with environment.product(with_replicas=contender.name == TWO) as target:
                found = await run_round(environment, target, flow, options)
                conflicts[contender.name].append(await _conflicts(environment, target))
            return found

        contenders = [Contender(name=name, flow=flow) for name in (ONE, TWO)]
        interleaving = await interleave(contenders, measure, rounds=rounds)
    repeated = row_of("stock batches done again", "", conflicts)
    report = flow_report(NAME, MEASURES, flow, interleaving, rows=[repeated])
    accepted = at_one_speed(report, ACCEPTED)
    return report.with_ratios(
        Ratio.between("accepted, of one of each", accepted, of=TWO, to=ONE, target=LEAST_OF_ONE)
    )


async def _conflicts(environment: Environment, target: Target) -> float:
    """Sum the batches that stock's replicas repeated because another replica committed first."""
    total = 0.0
    async with aiohttp.ClientSession() as http:
        for name in target.pids:
            if service_of(name) != STOCK:
                continue
            async with http.get(f"{environment.stack.url(name)}/metrics") as response:
                lines = (await response.text()).splitlines()
            total += sum(float(line.split()[-1]) for line in lines if line.startswith(CONFLICTS))
    return total
