"""Forks are full processes, and they end with their fork server, however it ends, on every system."""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from cafeteria.local_stack import ports
from cafeteria.local_stack.child import Child, Echo, is_alive
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.service import service_program

WaitUntil = Callable[..., Any]
Start = Callable[..., Awaitable[tuple[Child, psutil.Process]]]
START_TIMEOUT_S = 60.0
GRACE_S = 30.0  # a service ends within three seconds on a machine that is not busy


@pytest.fixture
def start(tmp_path: Path, wait_until: WaitUntil) -> Start:
    """Start stock from a fork server, without Postgres and NATS; return once it listens or has ended."""

    async def start_stock(
        fork_server: ForkServer, echo: Echo | None = None, **variables: str
    ) -> tuple[Child, psutil.Process]:
        port = ports.free_port()
        environment = {
            **os.environ,
            "CAFETERIA_PORT": str(port),
            "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:1/cafeteria",
            "CAFETERIA_POSTGRES_PASSWORD": "none",
            "CAFETERIA_NATS_URL": "nats://127.0.0.1:1",
            "CAFETERIA_NATS_PASSWORD": "none",
            **variables,
        }
        program = service_program("stock", environment)
        child = await fork_server.start(program, log=tmp_path / "log", echo=echo)
        process = psutil.Process(child.pid)
        await wait_until(
            lambda: child.exit_code is not None or not ports.is_free(port), timeout_s=START_TIMEOUT_S
        )
        return child, process

    return start_stock


@pytest.mark.parametrize(
    ("number", "state"), [(signal.SIGKILL, signal.SIGCONT), (signal.SIGTERM, signal.SIGSTOP)]
)
async def test_forks_end_with_their_fork_server_even_if_frozen(
    start: Start, wait_until: WaitUntil, number: signal.Signals, state: signal.Signals
) -> None:
    """After SIGKILL to the fork server, a frozen fork ends once it continues."""
    async with ForkServer(["stock"]) as loaded:
        child, process = await start(loaded)
        child.signal(state)
        os.kill(loaded.pid, number)
        await wait_until(lambda: not is_alive(process))
        assert await child.wait() == -signal.SIGKILL


async def test_without_its_fork_server_a_service_is_started_as_an_interpreter(start: Start) -> None:
    async with ForkServer(["stock"]) as loaded:
        child, _ = await start(loaded)
        os.kill(loaded.pid, signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
        again, process = await start(loaded)
        assert process.ppid() == os.getpid()
        assert await again.stop(grace_s=GRACE_S) == 0


async def test_the_end_of_one_fork_does_not_affect_others(fork_server: ForkServer, start: Start) -> None:
    (first, _), (second, process) = await start(fork_server), await start(fork_server)
    first.signal(signal.SIGKILL)
    assert await first.wait() == -signal.SIGKILL
    assert is_alive(process)
    third, _ = await start(fork_server)
    assert len({first.pid, second.pid, third.pid}) == 3
    assert await third.stop(grace_s=GRACE_S) == await second.stop(grace_s=GRACE_S) == 0


async def test_a_fork_writes_the_services_output_and_returns_its_exit_code(
    fork_server: ForkServer, start: Start, tmp_path: Path
) -> None:
    child, _ = await start(fork_server, CAFETERIA_LOG_LEVEL="loud")
    assert await child.wait() == 2
    assert (tmp_path / "log").read_text().startswith("stock: CAFETERIA_LOG_LEVEL")


async def test_a_fork_echoes_the_lines_that_it_adds_to_its_log(
    fork_server: ForkServer, start: Start, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Not those of its last run, and also after the log was rotated."""
    log = tmp_path / "log"
    log.write_text("older\n" * 100_000)  # more than it grows again between two looks
    echoed: list[str] = []
    child, process = await start(fork_server, echo=echoed.append)
    assert process.cmdline()[0].endswith("-m cafeteria.stock")
    await wait_until(lambda: echoed)
    assert "older" not in echoed
    os.truncate(log, 0)
    echoed.clear()
    assert await child.stop(grace_s=GRACE_S) == 0
    assert not is_alive(process)
    assert echoed == log.read_text().splitlines()
