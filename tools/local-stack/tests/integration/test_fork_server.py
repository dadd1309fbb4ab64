"""A fork server's forks are processes like any other, and end with it, however it ends, on any system."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from cafeteria.local_stack import ports
from cafeteria.local_stack.child import Child, is_alive
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.service import service_program
from cafeteria.provisioning.errors import StackError

WaitUntil = Callable[..., Any]
START_TIMEOUT_S = 60.0
GRACE_S = 30.0  # it ends by itself in three seconds, of a machine that has them


@pytest.fixture
def start(tmp_path: Path, wait_until: WaitUntil) -> Callable[..., Any]:
    """Stock from a fork server, without its servers, once it listens or has ended; its output goes to `log`."""

    async def start(fork_server: ForkServer, **variables: str) -> tuple[Child, psutil.Process]:
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
        child = await fork_server.start(service_program("stock", environment), log=tmp_path / "log")
        process = psutil.Process(child.pid)
        await wait_until(
            lambda: child.exit_code is not None or not ports.is_free(port), timeout_s=START_TIMEOUT_S
        )
        return child, process

    return start


@pytest.mark.parametrize(
    ("number", "state"), [(signal.SIGKILL, signal.SIGCONT), (signal.SIGTERM, signal.SIGSTOP)]
)
async def test_forks_end_with_their_fork_server_also_when_they_are_frozen(
    start: Any, wait_until: WaitUntil, number: signal.Signals, state: signal.Signals
) -> None:
    """Where the fork server itself was killed, one that is frozen ends once it goes on."""
    async with ForkServer(["stock"]) as loaded:
        child, process = await start(loaded)
        child.signal(state)
        os.kill(loaded.pid, number)
        await wait_until(lambda: not is_alive(process))
        assert await child.wait() == -signal.SIGKILL
        with pytest.raises(StackError, match="has ended"):
            await start(loaded)


async def test_a_fork_that_is_killed_takes_nobody_with_it(fork_server: ForkServer, start: Any) -> None:
    (first, _), (second, process) = await start(fork_server), await start(fork_server)
    first.signal(signal.SIGKILL)
    assert await first.wait() == -signal.SIGKILL
    assert is_alive(process)
    third, _ = await start(fork_server)
    assert len({first.pid, second.pid, third.pid}) == 3
    assert await third.stop(grace_s=GRACE_S) == await second.stop(grace_s=GRACE_S) == 0


async def test_a_fork_says_what_the_service_says(fork_server: ForkServer, start: Any, tmp_path: Path) -> None:
    child, _ = await start(fork_server, CAFETERIA_LOG_LEVEL="loud")
    assert await child.wait() == 2
    assert (tmp_path / "log").read_text().startswith("stock: CAFETERIA_LOG_LEVEL")
