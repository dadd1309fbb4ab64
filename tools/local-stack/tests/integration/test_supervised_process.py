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

from cafeteria.local_stack.child import YIELDING, Child, Program, is_alive
from cafeteria.local_stack.supervised_process import State, SupervisedProcess
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


async def test_a_process_that_falls_is_killed_at_once_and_stays_away(processes: Processes) -> None:
    ignores_sigterm = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + PRINTS_AND_SLEEPS
    process = processes.create(ignores_sigterm)
    await process.start()
    before = process.since
    await process.fall()
    assert await process.ended() == -signal.SIGKILL
    assert await process.state() is State.STOPPED
    assert process.since > before
    assert (process.restarts, processes.starts) == (0, 1)
    await process.fall()  # does nothing
    await process.launch()
    await process.ready()
    assert await process.state() is State.RUNNING
    await process.stop()


@pytest.mark.parametrize("is_frozen", [False, True])
async def test_what_a_falling_process_has_started_ends_with_it(
    *, processes: Processes, wait_until: WaitUntil, is_frozen: bool
) -> None:
    """A server's sessions would keep its successor from starting; a frozen one would never notice."""
    code = "import os, sys, time; os.fork(); os.write(1, b'here\\n'); time.sleep(600)"
    process = processes.create(code)
    await process.start()
    [session] = await wait_until(lambda: psutil.Process(process.pid).children())
    if is_frozen:
        await process.freeze()
    await process.fall()
    assert not is_alive(session)


async def test_a_process_that_falls_during_its_restart_stays_away(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    """The new process exists already, and its supervisor does not know it yet."""
    children: list[Child] = []

    async def start(program: Program, **options: Any) -> Child:
        children.append(await Child.start(program, **options))
        await asyncio.sleep(0.1)
        return children[-1]

    async def ready(child: Child) -> None:
        pass

    process = SupervisedProcess(
        "it", program=lambda: program(PRINTS_AND_SLEEPS), ready=ready, log=tmp_path / "log", start=start
    )
    await process.start()
    process.kill()
    await wait_until(lambda: len(children) == 2)
    await process.fall()
    assert [child.exit_code for child in children] == [-signal.SIGKILL, -signal.SIGKILL]
    assert not process.is_running


async def test_a_launched_process_is_kept_before_it_is_ready(
    processes: Processes, wait_until: WaitUntil
) -> None:
    """Something that it needs may be away for as long as people like."""
    process = processes.create(EXITS)
    await process.launch()
    await wait_until(lambda: process.restarts >= 2)
    assert await process.state() is State.STARTING
    await process.stop()
    assert await process.state() is State.STOPPED


async def test_a_process_that_runs_is_not_launched_again(processes: Processes) -> None:
    process = processes.create(PRINTS_AND_SLEEPS)
    await process.start()
    with pytest.raises(StackError, match="running already"):
        await process.launch()
    await process.stop()


async def test_a_new_process_is_starting_until_it_is_ready(
    processes: Processes, wait_until: WaitUntil
) -> None:
    process = processes.create("import time; time.sleep(600)")
    assert await process.state() is State.STOPPED
    await process.launch()
    assert await process.state() is State.STARTING
    processes.starts = 0  # nothing is waited for any more
    assert await process.state() is State.RUNNING
    process.kill()
    await wait_until(lambda: process.restarts == 1)
    await process.stop()


async def test_a_frozen_process_says_so_whatever_has_frozen_it(
    processes: Processes, wait_until: WaitUntil
) -> None:
    process = processes.create(PRINTS_AND_SLEEPS)
    await process.start()
    await process.freeze()
    assert await process.state() is State.FROZEN
    await process.thaw()
    assert await process.state() is State.RUNNING
    os.kill(process.pid, signal.SIGSTOP)
    await wait_until(lambda: process.is_frozen)
    await process.stop()
    assert await process.state() is State.STOPPED


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
