"""Benchmark: time from `just up` to the first accepted order, on a new data directory and on an existing one."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from uuid import uuid4

import aiohttp
import msgspec

from cafeteria.bench.generator import BenchError
from cafeteria.bench.interleaving import print_progress
from cafeteria.bench.machine import Meter, alone
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, row_of
from cafeteria.contracts.gateway import Menu
from cafeteria.contracts.identity import Tokens
from cafeteria.contracts.subjects import GATEWAY, IDENTITY, PORT_OFFSETS, SERVICES
from cafeteria.local_stack import ports
from cafeteria.local_stack.polling import is_true_within
from cafeteria.provisioning.demo_data import PASSWORD, STUDENTS

NAME = "start"
MEASURES = "seconds from `just up` to the first order that is accepted"

ROUNDS = 3
MOST_NEW_S, MOST_OLD_S = 15.0, 9.0
NEW, OLD = "new data folder", "old data folder"
GIVE_UP_S = 120.0
STOP_WITHIN_S = 10.0
POLL_S = 0.05
OK, CREATED = 200, 201


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    seconds: dict[str, list[float]] = {NEW: [], OLD: []}
    others: dict[str, list[float]] = {NEW: [], OLD: []}
    for number in range(1, rounds + 1):
        folder = Path(tempfile.mkdtemp(prefix="cafeteria-start-"))
        await asyncio.to_thread(folder.chmod, 0o711)
        try:
            for kind in (NEW, OLD):
                async with alone(options.lock):
                    meter = Meter({})
                    seconds[kind].append(await _first_order_after(folder))
                    usage = meter.read()
                others[kind].append(usage.others * 100)
                print_progress(f"round {number}, {kind}: {seconds[kind][-1]:.1f} s")
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    row = row_of("to the first 201", "s", seconds)
    return Report(
        name=NAME,
        measures=MEASURES,
        settings={"rounds": str(rounds), "started by": " ".join(_command())},
        rows=(row, row_of("machine: all that was busy", "%", others)),
        ratios=(
            Ratio(what=NEW, values=row.by[NEW], target=MOST_NEW_S, at_least=False, unit="s"),
            Ratio(what=OLD, values=row.by[OLD], target=MOST_OLD_S, at_least=False, unit="s"),
        ),
    )


def _command() -> tuple[str, ...]:
    """Return `just up` where just is installed, or else the command that it runs."""
    if shutil.which("just") and Path("justfile").exists():
        return ("just", "up")
    return (sys.executable, "-m", "cafeteria.local_stack", "up")


async def _first_order_after(data_directory: Path) -> float:
    base = ports.free_ports(len(SERVICES))
    began_at = monotonic()
    async with _up(data_directory, base) as process, aiohttp.ClientSession() as http:
        token = await _until_found(process, lambda: _sign_in(http, base), began_at)
        await _until_found(process, lambda: _order(http, base, token), began_at)
        return monotonic() - began_at


@asynccontextmanager
async def _up(data_directory: Path, base: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *_command(),
        env={**os.environ, "CAFETERIA_HOME": str(data_directory), "CAFETERIA_PORT_BASE": str(base)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _until_found(
    process: asyncio.subprocess.Process, attempt: Callable[[], Awaitable[str | None]], began_at: float
) -> str:
    found: str | None = None

    async def is_decided() -> bool:
        nonlocal found
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            found = await attempt()
        return found is not None or process.returncode is not None

    await is_true_within(GIVE_UP_S - (monotonic() - began_at), is_decided, poll_s=POLL_S)
    if found is None:
        raise BenchError("The stack did not start. Run `just up` to see the error.")
    return found


async def _sign_in(http: aiohttp.ClientSession, base: int) -> str | None:
    body = {"student_id": STUDENTS[0], "password": PASSWORD}
    async with http.post(f"{_url(base, IDENTITY)}/v1/login", json=body) as response:
        if response.status != OK:
            return None
        return msgspec.json.decode(await response.read(), type=Tokens).access_token


async def _order(http: aiohttp.ClientSession, base: int, token: str) -> str | None:
    """Order the first item of the menu, as a student does. Returns None unless the answer is 201."""
    async with http.get(f"{_url(base, GATEWAY)}/v1/menu") as response:
        if response.status != OK:
            return None
        menu = msgspec.json.decode(await response.read(), type=Menu)
    if not menu.items:
        return None
    async with http.post(
        f"{_url(base, GATEWAY)}/v1/orders",
        json={"lines": [{"item_id": str(menu.items[0].item_id), "quantity": 1}]},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex},
    ) as response:
        return "accepted" if response.status == CREATED else None


def _url(base: int, service: str) -> str:
    return f"http://{ports.HOST}:{base + PORT_OFFSETS[service]}"
