"""Benchmark: all orders for one item, beside the same load on all items; and no portion is sold twice."""

from cafeteria.bench.environment import Environment, open_environment
from cafeteria.bench.flow import Flow
from cafeteria.bench.interleaving import FLOOR, PRODUCT, Contender, interleave, on_empty_tables
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, Series
from cafeteria.bench.tables import ACCEPTED, at_one_speed, flow_report

NAME = "hot"
MEASURES = "orders accepted a second when all want the same item, beside the same load on twenty"

SECONDS, ROUNDS, CONNECTIONS = 15.0, 3, 64
LEAST_OF_SPREAD = 0.95
LAST_PORTIONS = 500
SPREAD, HOT, FLOOR_HOT = "spread", "hot", "floor, hot"


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    async with open_environment(options) as environment:
        seconds, connections = options.seconds or SECONDS, options.connections or CONNECTIONS
        spread = Flow(seconds=seconds, connections=connections, items=environment.items)
        hot = Flow(seconds=seconds, connections=connections, items=environment.items[:1])
        contenders = [
            Contender(name=SPREAD, system=PRODUCT, flow=spread),
            Contender(name=HOT, system=PRODUCT, flow=hot),
            Contender(name=FLOOR_HOT, system=FLOOR, flow=hot),
        ]
        interleaving = await interleave(contenders, on_empty_tables(environment, options), rounds=rounds)
        sold = await _sell_out(environment, options, connections=connections)
    report = flow_report(NAME, MEASURES, spread, interleaving)
    return report.with_ratios(
        Ratio.between(
            "hot, of spread", at_one_speed(report, ACCEPTED), of=HOT, to=SPREAD, target=LEAST_OF_SPREAD
        ),
        *_exactly(sold),
    )


async def _sell_out(environment: Environment, options: Options, *, connections: int) -> int:
    """Return how many of LAST_PORTIONS are sold when many more are ordered at once."""
    flow = Flow(seconds=1, connections=connections, items=environment.items[:1], portions=LAST_PORTIONS)
    found = await on_empty_tables(environment, options)(Contender(name=HOT, flow=flow))
    return found.stored.ready


def _exactly(sold: int) -> tuple[Ratio, Ratio]:
    what, values = f"sold of {LAST_PORTIONS} portions", Series((float(sold),))
    return (
        Ratio(what=what, values=values, target=LAST_PORTIONS),
        Ratio(what=what, values=values, target=LAST_PORTIONS, at_least=False),
    )
