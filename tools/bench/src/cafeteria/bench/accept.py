"""Benchmark: orders accepted a second while the whole pipeline runs."""

from cafeteria.bench.environment import Environment
from cafeteria.bench.flow import Flow
from cafeteria.bench.interleaving import FLOOR, PRODUCT, Contender, interleave, on_empty_tables
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report
from cafeteria.bench.tables import ACCEPTED, CPU, at_one_speed, flow_rows, settings_of

NAME = "accept"
MEASURES = "orders accepted a second with the whole pipeline running, and CPU per order, beside the floor"

SECONDS, ROUNDS, CONNECTIONS = 15.0, 3, 64
LEAST_OF_FLOOR = 0.80
MOST_CPU_OF_FLOOR = 1.25


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    with options.data_directory() as data_directory:
        async with Environment(data_directory) as environment:
            flow = Flow(
                seconds=options.seconds or SECONDS,
                connections=options.connections or CONNECTIONS,
                items=environment.items,
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
    accepted = Ratio.between(
        "accepted, of the floor", at_one_speed(report, ACCEPTED), of=PRODUCT, to=FLOOR, target=LEAST_OF_FLOOR
    )
    cpu = Ratio.between(
        "CPU per order, of the floor's",
        at_one_speed(report, CPU),
        of=PRODUCT,
        to=FLOOR,
        target=MOST_CPU_OF_FLOOR,
        at_least=False,
    )
    return report.with_ratios(accepted, cpu)
