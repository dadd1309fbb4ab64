"""A kept process comes back, a stopped one does not."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from cafeteria.local_stack import supervised_process as members
from cafeteria.local_stack.child import YIELDING, Child, Program
from cafeteria.local_stack.supervised_process import SupervisedProcess
from cafeteria.provisioning.errors import StackError

WaitUntil = Callable[..., Any]

TALKER = "import sys, time; print('here', flush=True); time.sleep(600)"
QUITTER = "import sys; sys.exit(3)"


def program(code: str, **changes: Any) -> Program:
    return Program(argv=(sys.executable, "-c", code), env=dict(os.environ), **changes)


class Bench:
    """Makes members of one-line programs; ready means that something was printed since the start."""

    def __init__(self, folder: Path, wait_until: WaitUntil) -> None:
        self.log = folder / "log"
        self._wait_until = wait_until
        self.starts = 0

    def member(self, code: str, *, keep: bool = True, **changes: Any) -> SupervisedProcess:
        def start() -> Program:
            self.starts += 1
            return program(code, **changes)

        return SupervisedProcess("it", program=start, ready=self._ready, log=self.log, keep=keep)

    def printed(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    async def _ready(self, child: Child) -> None:
        wanted = self.starts

        def said_so() -> bool:
            if child.exit_code is not None:
                raise StackError("it ended")
            return self.printed() >= wanted

        await self._wait_until(said_so)


@pytest.fixture
def bench(tmp_path: Path, wait_until: WaitUntil) -> Bench:
    return Bench(tmp_path, wait_until)


async def test_what_is_killed_comes_back_and_can_be_waited_for(bench: Bench) -> None:
    member = bench.member(TALKER)
    await member.start()
    first = member.pid
    member.kill()
    await member.ready()
    assert member.pid != first
    assert bench.starts == 2
    await member.stop()


async def test_what_is_stopped_stays_away_until_it_is_started(bench: Bench) -> None:
    member = bench.member(TALKER)
    await member.start()
    await member.stop()
    assert not member.is_running
    with pytest.raises(StackError, match="not running"):
        assert member.pid
    await member.start()
    assert member.is_running
    await member.stop()


async def test_what_is_not_kept_stays_dead(bench: Bench) -> None:
    member = bench.member(TALKER, keep=False)
    await member.start()
    member.kill()
    assert await member.ended() == -signal.SIGKILL
    with pytest.raises(StackError):
        await member.ready()
    assert bench.starts == 1


async def test_what_ends_while_it_starts_is_not_tried_again(bench: Bench) -> None:
    member = bench.member(QUITTER)
    with pytest.raises(StackError, match="it ended"):
        await member.start()
    assert bench.starts == 1
    assert not member.is_running


async def test_what_keeps_dying_is_started_at_once_and_then_less_and_less_often(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    """Others sleep in the same loop: only this member's pauses are noted, and not waited for."""
    pauses: list[float] = []
    sleep = asyncio.sleep
    member = bench.member(TALKER)
    await member.start()

    async def note(pause_s: float) -> None:
        if asyncio.current_task() is not member._keeper:
            return await sleep(pause_s)
        pauses.append(pause_s)
        return await sleep(0)

    monkeypatch.setattr(members.asyncio, "sleep", note)
    for _ in range(7):
        killed = member.pid
        member.kill()
        await wait_until(lambda killed=killed: member.is_running and member.pid != killed)
    await member.stop()
    assert pauses == [0.0, 0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


async def test_a_frozen_one_is_alive_and_goes_on_afterwards(bench: Bench, wait_until: WaitUntil) -> None:
    """The kernel stops a process that is just running when it next interrupts it."""
    member = bench.member(TALKER)
    await member.start()
    process = psutil.Process(member.pid)
    with member.frozen():
        await wait_until(lambda: process.status() == psutil.STATUS_STOPPED)
    await wait_until(lambda: process.status() != psutil.STATUS_STOPPED)
    await member.stop()


async def test_one_that_will_not_end_is_ended(bench: Bench) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + TALKER
    member = bench.member(deaf)
    await member.start()
    await member.stop(grace_s=0.2)
    assert await member.ended() == -signal.SIGKILL


async def test_each_line_is_echoed_and_kept(tmp_path: Path) -> None:
    echoed: list[str] = []
    long = 3 << 20
    code = f"print('one'); print('x' * {long}); print('two'); print('no end', end='')"
    child = await Child.start(program(code), log=tmp_path / "log", echo=echoed.append)
    assert await child.wait() == 0
    assert echoed[0] == "one"
    assert echoed[-2:] == ["two", "no end"]
    assert (tmp_path / "log").read_text().endswith("two\nno end")


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not group by session")
async def test_what_yields_does_so_as_a_session_of_its_own(tmp_path: Path) -> None:
    code = "import os; print(os.getsid(0) == os.getpid(), open('/proc/self/autogroup').read())"
    log = tmp_path / "log"
    child = await Child.start(Program(argv=(sys.executable, "-c", code), yields=True), log=log)
    assert await child.wait() == 0
    is_leader, *_, nice = log.read_text().split()
    assert (is_leader, int(nice)) == ("True", YIELDING)
