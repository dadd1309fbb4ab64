"""The load generator wrk: offers as many orders as its connections take, with little CPU."""

import asyncio
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

SCRIPT = Path(__file__).with_name("orders.lua")
TIMEOUT_S = 20
CREATED, RECEIVED = 201, 202


class BenchError(Exception):
    """A measurement was impossible; the message is one sentence for a person."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of wrk. Latencies are those of all answers."""

    seconds: float
    answers: dict[int, int]
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int
    timeouts: int

    @property
    def accepted(self) -> int:
        """Orders that exist, those answered with 202 included."""
        return self.answers.get(CREATED, 0) + self.answers.get(RECEIVED, 0)

    @property
    def accepted_per_s(self) -> float:
        return self.accepted / self.seconds


def require_wrk() -> str:
    """Return the path of wrk. Raises BenchError if it is not installed."""
    found = shutil.which("wrk")
    if found is None:
        raise BenchError(
            "This bench offers load with wrk, which is not installed. Install it: apt-get install wrk."
        )
    return found


async def place_orders(
    urls: Sequence[str],
    *,
    tokens: Sequence[str],
    items: Sequence[str],
    connections: int,
    seconds: float,
) -> Load:
    """Place orders of one portion each for `seconds`, with an equal share of the connections at each gateway.

    Raises BenchError when wrk fails.
    """
    share = max(1, connections // len(urls))
    loads = await asyncio.gather(
        *(_place_at(url, tokens=tokens, items=items, connections=share, seconds=seconds) for url in urls)
    )
    return combine(loads)


def combine(loads: Sequence[Load]) -> Load:
    """Merge loads: answers are added, and each latency is the highest of all."""
    answers = sum((Counter(load.answers) for load in loads), Counter[int]())
    return Load(
        seconds=max(load.seconds for load in loads),
        answers=dict(answers),
        p50_ms=max(load.p50_ms for load in loads),
        p99_ms=max(load.p99_ms for load in loads),
        max_ms=max(load.max_ms for load in loads),
        errors=sum(load.errors for load in loads),
        timeouts=sum(load.timeouts for load in loads),
    )


async def _place_at(
    url: str,
    *,
    tokens: Sequence[str],
    items: Sequence[str],
    connections: int,
    seconds: float,
) -> Load:
    environment = {
        **os.environ,
        "CAFETERIA_BENCH_TOKENS": " ".join(tokens),
        "CAFETERIA_BENCH_ITEMS": " ".join(items),
        "CAFETERIA_BENCH_RUN": secrets.token_hex(6),
    }
    process = await asyncio.create_subprocess_exec(
        require_wrk(),
        *("--threads=1", f"--connections={connections}", f"--duration={round(seconds)}s"),
        *(f"--timeout={TIMEOUT_S}s", f"--script={SCRIPT}", url),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    for line in output.splitlines():
        if line.startswith(b"SUMMARY "):
            return msgspec.json.decode(line.removeprefix(b"SUMMARY "), type=Load)
    raise BenchError(f"wrk printed no summary: {output.decode(errors='replace').strip()}")
