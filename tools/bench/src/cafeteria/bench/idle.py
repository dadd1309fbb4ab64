"""Benchmark: memory and CPU of the five services without load."""

import asyncio

from cafeteria.bench.environment import Environment
from cafeteria.bench.machine import Meter, alone, resident_bytes
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, Row, Series
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
    memory: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    with options.data_directory() as data_directory:
        async with Environment(data_directory) as environment:
            for _ in range(rounds):
                async with environment.product() as target, alone(options.lock):
                    await asyncio.sleep(IDLE_S)
                    meter = Meter(target.pids)
                    await asyncio.sleep(options.seconds or SECONDS)
                    usage = meter.read()
                    for service in SERVICES:
                        memory.setdefault(service, []).append(resident_bytes(target.pids[service]) / MIB)
                        cpu.setdefault(service, []).append(usage.cpu_s[service] / usage.seconds * 100)
    rows = {
        service: Row(
            what=service, unit="", by={RESIDENT: Series(tuple(of_one)), CPU: Series(tuple(cpu[service]))}
        )
        for service, of_one in memory.items()
    }
    together = Row(what="together", unit="", by={RESIDENT: _total(memory), CPU: _total(cpu)})
    return Report(
        name=NAME,
        measures=MEASURES,
        settings={"seconds": f"{options.seconds or SECONDS:g}", "rounds": str(rounds)},
        rows=(*rows.values(), together),
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


def _total(figures: dict[str, list[float]]) -> Series:
    return Series(tuple(sum(of_round) for of_round in zip(*figures.values(), strict=True)))
