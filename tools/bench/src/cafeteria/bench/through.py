"""Benchmark: orders a second that become READY, logged, and shown on the students' open streams."""

from cafeteria.bench.environment import Environment
from cafeteria.bench.flow import Flow
from cafeteria.bench.interleaving import FLOOR, PRODUCT, Contender, interleave, on_empty_tables
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report
from cafeteria.bench.tables import CARRIED, CARRIED_SHARE, CPU, at_one_speed, flow_rows, settings_of

NAME = "through"
MEASURES = "orders carried to READY, logged and pushed to 100 open streams a second, beside the floor"

SECONDS, ROUNDS, CONNECTIONS = 60.0, 2, 64
LEAST_OF_FLOOR = 0.80
LEAST_OF_ACCEPTED = 0.97
MOST_CPU_OF_FLOOR = 1.25


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    with options.data_directory() as data_directory:
        async with Environment(data_directory) as environment:
            flow = Flow(
                seconds=options.seconds or SECONDS,
                connections=options.connections or CONNECTIONS,
                items=environment.items,
                with_streams=True,
            )
            contenders = [Contender(name=name, system=name, flow=flow) for name in (FLOOR, PRODUCT)]
            interleaving = await interleave(contenders, on_empty_tables(environment, options), rounds=rounds)
    report = Report(
        name=NAME,
        measures=MEASURES,
        settings=settings_of(flow, rounds=rounds),
        rows=flow_rows(interleaving.rounds),
        remarks=tuple(interleaving.remarks),
    )
    return report.with_ratios(
        Ratio.between(
            "carried, of the floor",
            at_one_speed(report, CARRIED),
            of=PRODUCT,
            to=FLOOR,
            target=LEAST_OF_FLOOR,
        ),
        Ratio(what=CARRIED_SHARE, values=report.row(CARRIED_SHARE).by[PRODUCT], target=LEAST_OF_ACCEPTED),
        Ratio.between(
            "CPU per order, of the floor's",
            at_one_speed(report, CPU),
            of=PRODUCT,
            to=FLOOR,
            target=MOST_CPU_OF_FLOOR,
            at_least=False,
        ),
    )
