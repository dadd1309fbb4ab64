"""Benchmark: an order's CPU by process and layer; py-spy samples each process at full load.

A sample counts for the layer of its innermost frame that belongs to one; the shares are then scaled to the CPU that
the process used for an order in the same seconds.
"""

import asyncio
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from cafeteria.bench.environment import Environment, Target
from cafeteria.bench.generator import BenchError
from cafeteria.bench.machine import Meter, alone
from cafeteria.bench.options import Options
from cafeteria.bench.report import Report, Row, row_of
from cafeteria.contracts.subjects import GATEWAY, KITCHEN, NOTIFICATION, STOCK
from cafeteria.faultkit import quiescence

NAME = "profile"
MEASURES = "CPU of the four services for an order, by layer, as py-spy sees it at full load"

SECONDS, CONNECTIONS = 15.0, 64
WARM_S, QUIESCENT_WITHIN_S = 3.0, 60.0
SAMPLES_PER_S = 200
SERVICES = (GATEWAY, STOCK, KITCHEN, NOTIFICATION)

LAYERS = {
    "HTTP server": (
        *("uvicorn/", "chassis/http/uvicorn_", "chassis/http/gathering_", "chassis/http/connection_limits"),
        *("chassis/http/request_head", "chassis/http/forwarding"),
    ),
    "HTTP framework": ("litestar/", "multidict/", "chassis/http/responses"),
    "request boundary": ("chassis/http/", "chassis/observability/tracing", "chassis/app"),
    "token": ("chassis/auth/", "jwt/"),
    "log lines": ("structlog/", "chassis/observability/logs"),
    "metrics": ("prometheus_client/", "chassis/observability/metrics"),
    "SQLAlchemy": ("sqlalchemy/",),
    "database driver": ("asyncpg/",),
    "NATS client": ("nats/", "chassis/messaging/nats_client"),
    "bus, relay, outbox": ("chassis/messaging/",),
    "batches, connections, jobs": ("chassis/database/", "chassis/jobs"),
    "the service's own": tuple(f"{service}/" for service in SERVICES),
}
EVENT_LOOP = "event loop, sockets"
"""Samples without a frame of a layer: uvloop, reading and writing sockets."""

_FRAME_FILE = re.compile(r"\((?P<file>[^()]*?)(?::\d+)?\)$")


async def run(options: Options) -> Report:
    seconds = options.seconds or SECONDS
    with options.data_directory() as data_directory:
        async with (
            Environment(data_directory) as environment,
            environment.product() as target,
            alone(options.lock),
        ):
            found = await _measure(environment, target, options, seconds=seconds, folder=data_directory.logs)
    return Report(
        name=NAME,
        measures=MEASURES,
        settings={"seconds for each": f"{seconds:g}", "samples": f"{SAMPLES_PER_S} a second"},
        rows=tuple(_rows(found)),
    )


def _rows(found: dict[str, dict[str, float]]) -> Iterator[Row]:
    for layer in (*LAYERS, EVENT_LOOP):
        yield row_of(layer, "µs", {service: [us.get(layer, 0.0)] for service, us in found.items()})
    yield row_of("together", "µs", {service: [sum(us.values())] for service, us in found.items()})


async def _measure(
    environment: Environment, target: Target, options: Options, *, seconds: float, folder: Path
) -> dict[str, dict[str, float]]:
    """Return microseconds for an order, by service and layer; one process is sampled at a time."""
    connections = options.connections or CONNECTIONS
    await environment.place_orders(target, connections=connections, seconds=WARM_S)
    await environment.admin.execute("ANALYZE")
    found = {}
    for service in SERVICES:
        meter = Meter(target.pids)
        load, samples = await asyncio.gather(
            environment.place_orders(target, connections=connections, seconds=seconds),
            _sample(target.pids[service], seconds=seconds, file=folder / f"{service}.profile"),
        )
        us = meter.read().cpu_s[service] / max(1, load.accepted) * 1e6
        total = samples.total()
        found[service] = {layer: us * count / total for layer, count in samples.items()}
        await quiescence.until_idle(environment.admin, within_s=QUIESCENT_WITHIN_S)
    return found


async def _sample(pid: int, *, seconds: float, file: Path) -> Counter[str]:
    """Count the samples of each layer. Raises BenchError if py-spy is not installed or not permitted."""
    process = await asyncio.create_subprocess_exec(
        *(_require_py_spy(), "record", "--format", "raw", "--output", str(file), "--pid", str(pid)),
        *("--gil", "--rate", str(SAMPLES_PER_S), "--duration", str(round(seconds))),  # without idle threads
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    if process.returncode:
        raise BenchError(f"py-spy could not sample the process: {errors.decode().strip()}")
    return by_layer((await asyncio.to_thread(file.read_text)).splitlines())


def by_layer(lines: Iterable[str]) -> Counter[str]:
    """Parse py-spy's raw format: frames from the outermost in, separated by `;`, then a space and the count."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        found[layer_of(stack.split(";"))] += int(count)
    return found


def layer_of(frames: list[str]) -> str:
    for frame in reversed(frames):
        match = _FRAME_FILE.search(frame)
        file = match["file"] if match else ""
        for layer, places in LAYERS.items():
            if any(place in file for place in places) and not file.endswith("__main__.py"):
                return layer
    return EVENT_LOOP


def _require_py_spy() -> str:
    installed = Path(sys.executable).with_name("py-spy")
    found = str(installed) if installed.exists() else shutil.which("py-spy")
    if found is None:
        raise BenchError(
            "This bench samples processes with py-spy, which is not installed. Install it: uv sync."
        )
    return found
