"""A kept process restarts after it died; a stopped one does not."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from cafeteria.local_stack.child import YIELDING, Child, Program
from cafeteria.local_stack.supervised_process import SupervisedProcess
from cafeteria.provisioning.errors import StackError

WaitUntil = Callable[..., Any]

PRINTS_AND_SLEEPS = "import sys, time; print('here', flush=True); time.sleep(600)"
EXITS = "import sys; sys.exit(3)"


def program(code: str, **changes: Any) -> Program:
    return Program(argv=(sys.executable, "-c", code), env=dict(os.environ), **changes)


class Processes:
    """Creates supervised processes of one-line programs, which are ready once they have printed a line."""

    def __init__(self, folder: Path, wait_until: WaitUntil) -> None:
        self.log = folder / "log"
        self._wait_until = wait_until
        self.starts = 0

    def create(self, code: str, *, keep: bool = True, **changes: Any) -> SupervisedProcess:
        def start() -> Program:
            self.starts += 1
            return program(code, **changes)

        return SupervisedProcess("it", program=start, ready=self._ready, log=self.log, keep=keep)

    def printed(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    async def _ready(self, child: Child) -> None:
        wanted = self.starts

        def has_printed() -> bool:
            if child.exit_code is not None:
                raise StackError("it ended")
            return self.printed() >= wanted

        await self._wait_until(has_printed)


@pytest.fixture
def processes(tmp_path: Path, wait_until: WaitUntil) -> Processes:
    return Processes(tmp_path, wait_until)


async def test_a_killed_process_restarts_and_can_be_awaited(processes: Processes) -> None:
    process = processes.create(PRINTS_AND_SLEEPS)
    await process.start()
    first = process.pid
    process.kill()
    await process.ready()
    assert process.pid != first
    assert processes.starts == 2
    await process.stop()


async def test_a_stopped_process_stays_down_until_a_start(processes: Processes) -> None:
    process = processes.create(PRINTS_AND_SLEEPS)
    await process.start()
    await process.stop()
    assert not process.is_running
    with pytest.raises(StackError, match="not running"):
        assert process.pid
    await process.start()
    assert process.is_running
    await process.stop()


async def test_a_process_that_is_not_kept_does_not_restart(processes: Processes) -> None:
    process = processes.create(PRINTS_AND_SLEEPS, keep=False)
    await process.start()
    process.kill()
    assert await process.ended() == -signal.SIGKILL
    with pytest.raises(StackError):
        await process.ready()
    assert processes.starts == 1


async def test_a_process_that_ends_during_its_start_is_not_started_again(processes: Processes) -> None:
    process = processes.create(EXITS)
    with pytest.raises(StackError, match="it ended"):
        await process.start()
    assert processes.starts == 1
    assert not process.is_running


async def test_a_process_that_keeps_dying_restarts_at_once_and_then_with_back_off(
    processes: Processes, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    """The replaced sleep records and skips the pauses of this process' task only."""
    pauses: list[float] = []
    sleep = asyncio.sleep
    process = processes.create(PRINTS_AND_SLEEPS)
    await process.start()

    async def record(pause_s: float) -> None:
        if asyncio.current_task() is not process._keeper:
            return await sleep(pause_s)
        pauses.append(pause_s)
        return await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", record)
    for _ in range(7):
        killed = process.pid
        process.kill()
        await wait_until(lambda killed=killed: process.is_running and process.pid != killed)
    await process.stop()
    assert pauses == [0.0, 0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


async def test_a_frozen_process_is_alive_and_continues(processes: Processes, wait_until: WaitUntil) -> None:
    """The kernel stops a running process only at the next interrupt, so this waits for the state."""
    process = processes.create(PRINTS_AND_SLEEPS)
    await process.start()
    observed = psutil.Process(process.pid)
    with process.frozen():
        await wait_until(lambda: observed.status() == psutil.STATUS_STOPPED)
    await wait_until(lambda: observed.status() != psutil.STATUS_STOPPED)
    await process.stop()


async def test_a_process_that_ignores_sigterm_is_killed(processes: Processes) -> None:
    ignores_sigterm = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + PRINTS_AND_SLEEPS
    process = processes.create(ignores_sigterm)
    await process.start()
    await process.stop(grace_s=0.2)
    assert await process.ended() == -signal.SIGKILL


async def test_every_line_is_echoed_and_logged(tmp_path: Path) -> None:
    echoed: list[str] = []
    long = 3 << 20
    code = f"print('one'); print('x' * {long}); print('two'); print('no end', end='')"
    child = await Child.start(program(code), log=tmp_path / "log", echo=echoed.append)
    assert await child.wait() == 0
    assert echoed[0] == "one"
    assert echoed[-2:] == ["two", "no end"]
    assert (tmp_path / "log").read_text().endswith("two\nno end")


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not group by session")
async def test_a_yielding_program_has_its_own_session(tmp_path: Path) -> None:
    code = "import os; print(os.getsid(0) == os.getpid(), open('/proc/self/autogroup').read())"
    log = tmp_path / "log"
    child = await Child.start(Program(argv=(sys.executable, "-c", code), yields=True), log=log)
    assert await child.wait() == 0
    is_leader, *_, nice = log.read_text().split()
    assert (is_leader, int(nice)) == ("True", YIELDING)
