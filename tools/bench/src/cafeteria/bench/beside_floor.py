"""The order flow of the product beside the floor's, which `accept` and `through` measure for different figures."""

from cafeteria.bench.environment import open_environment
from cafeteria.bench.flow import Flow
from cafeteria.bench.interleaving import FLOOR, PRODUCT, Contender, interleave, on_empty_tables
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report
from cafeteria.bench.tables import CPU, at_one_speed, flow_report

CONNECTIONS = 64
LEAST_OF_FLOOR = 0.80
MOST_CPU_OF_FLOOR = 1.25


async def measure(
    name: str, measures: str, options: Options, *, seconds: float, rounds: int, with_streams: bool = False
) -> Report:
    """Interleave both; `seconds` and `rounds` are for options without them."""
    async with open_environment(options) as environment:
        flow = Flow(
            seconds=options.seconds or seconds,
            connections=options.connections or CONNECTIONS,
            items=environment.items,
            with_streams=with_streams,
        )
        contenders = [Contender(name=each, system=each, flow=flow) for each in (FLOOR, PRODUCT)]
        measure_round = on_empty_tables(environment, options)
        interleaving = await interleave(contenders, measure_round, rounds=options.rounds or rounds)
    return flow_report(name, measures, flow, interleaving)


def rate_ratio(report: Report, what: str, row: str) -> Ratio:
    """Return the product's rate as a share of the floor's."""
    rates = at_one_speed(report, row)
    return Ratio.between(what, rates, of=PRODUCT, to=FLOOR, target=LEAST_OF_FLOOR)


def cpu_ratio(report: Report) -> Ratio:
    """Return the product's CPU for an order as a share of the floor's."""
    cpu, most = at_one_speed(report, CPU), MOST_CPU_OF_FLOOR
    return Ratio.between(
        "CPU per order, of the floor's", cpu, of=PRODUCT, to=FLOOR, target=most, at_least=False
    )
