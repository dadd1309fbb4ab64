"""Benchmark: orders accepted a second while the whole pipeline runs."""

from cafeteria.bench import beside_floor
from cafeteria.bench.options import Options
from cafeteria.bench.report import Report
from cafeteria.bench.tables import ACCEPTED

NAME = "accept"
MEASURES = "orders accepted a second with the whole pipeline running, and CPU per order, beside the floor"

SECONDS, ROUNDS = 15.0, 3


async def run(options: Options) -> Report:
    report = await beside_floor.measure(NAME, MEASURES, options, seconds=SECONDS, rounds=ROUNDS)
    accepted = beside_floor.rate_ratio(report, "accepted, of the floor", ACCEPTED)
    return report.with_ratios(accepted, beside_floor.cpu_ratio(report))
