"""Benchmark: memory and CPU of the five services without load."""

import asyncio

from cafeteria.bench.environment import open_environment
from cafeteria.bench.machine import Meter, alone, resident_bytes
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, row_of
from cafeteria.contracts.subjects import SERVICES

NAME = "rest"
MEASURES = "memory and CPU of the five services at rest"

SECONDS, ROUNDS = 20.0, 1
IDLE_S = 5.0
MOST_MIB = 650.0
MOST_CPU_PERCENT = 2.0
MIB = 1 << 20
RESIDENT, CPU = "resident, MiB", "CPU, % of a core"


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    memory: dict[str, list[float]] = {service: [] for service in SERVICES}
    cpu: dict[str, list[float]] = {service: [] for service in SERVICES}
    async with open_environment(options) as environment:
        for _ in range(rounds):
            async with environment.product() as target, alone(options.lock):
                await asyncio.sleep(IDLE_S)
                meter = Meter(target.pids)
                await asyncio.sleep(options.seconds or SECONDS)
                usage = meter.read()
                for service in SERVICES:
                    memory[service].append(resident_bytes(target.pids[service]) / MIB)
                    cpu[service].append(usage.cpu_s[service] / usage.seconds * 100)
    rows = [row_of(service, "", {RESIDENT: memory[service], CPU: cpu[service]}) for service in SERVICES]
    together = row_of("together", "", {RESIDENT: _total(memory), CPU: _total(cpu)})
    return Report(
        name=NAME,
        measures=MEASURES,
        settings={"seconds": f"{options.seconds or SECONDS:g}", "rounds": str(rounds)},
        rows=(*rows, together),
        ratios=(
            Ratio(what="resident", values=together.by[RESIDENT], target=MOST_MIB, at_least=False, unit="MiB"),
            Ratio(
                what="CPU",
                values=together.by[CPU],
                target=MOST_CPU_PERCENT,
                at_least=False,
                unit="% of a core",
            ),
        ),
    )


def _total(figures: dict[str, list[float]]) -> list[float]:
    return [sum(of_round) for of_round in zip(*figures.values(), strict=True)]
