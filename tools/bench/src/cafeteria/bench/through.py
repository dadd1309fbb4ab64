"""Benchmark: orders a second that become READY, logged, and shown on the students' open streams."""

from cafeteria.bench import beside_floor
from cafeteria.bench.interleaving import PRODUCT
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report
from cafeteria.bench.tables import CARRIED, CARRIED_SHARE

NAME = "through"
MEASURES = "orders carried to READY, logged and pushed to 100 open streams a second, beside the floor"

SECONDS, ROUNDS = 60.0, 2
LEAST_OF_ACCEPTED = 0.97


async def run(options: Options) -> Report:
    report = await beside_floor.measure(
        NAME, MEASURES, options, seconds=SECONDS, rounds=ROUNDS, with_streams=True
    )
    return report.with_ratios(
        beside_floor.rate_ratio(report, "carried, of the floor", CARRIED),
        Ratio(what=CARRIED_SHARE, values=report.row(CARRIED_SHARE).by[PRODUCT], target=LEAST_OF_ACCEPTED),
        beside_floor.cpu_ratio(report),
    )
