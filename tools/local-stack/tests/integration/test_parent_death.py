"""No process outlives a supervisor that was killed, by the kernel's signal and where the kernel sends none."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from cafeteria.local_stack import parent_death
from cafeteria.local_stack.child import Child, Program, is_alive
from cafeteria.local_stack.data_directory import DataDirectory

Up = Callable[..., AbstractAsyncContextManager[Any]]
WaitUntil = Callable[..., Any]

KERNEL = pytest.param(
    "",
    id="by the kernel",
    marks=pytest.mark.skipif(
        not parent_death.has_parent_death_signal(), reason="this kernel sends no signal at a parent's death"
    ),
)
WATCHER = pytest.param("parent_death.has_parent_death_signal = lambda: False", id="by the watcher")
WITH_ONE_SERVICE = f"""
import asyncio
from cafeteria.contracts.subjects import IDENTITY, SERVICES
from cafeteria.local_stack import parent_death
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack

{WATCHER.values[0]}
plan = Plan(idle=frozenset(SERVICES) - {{IDENTITY}})

async def main():
    async with Stack(DataDirectory.from_environment(), plan):
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

PARENT = """
import asyncio, sys
from pathlib import Path
from cafeteria.local_stack import parent_death
from cafeteria.local_stack.child import Child, Program

{change}

async def main():
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    passing = Program(argv=(sys.executable, "-c", "pass"))
    await (await Child.start(passing, log=Path(sys.argv[1]))).wait()
    program = Program(argv=(sys.executable, "-c", deaf), own_group=True)
    child = await Child.start(program, log=Path(sys.argv[1]))
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


@asynccontextmanager
async def parent_and_child(folder: Path, change: str) -> AsyncIterator[tuple[Any, psutil.Process]]:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT.format(change=change), str(folder / "log")),
        stdout=asyncio.subprocess.PIPE,
        process_group=0,
    )
    assert parent.stdout
    try:
        yield parent, psutil.Process(int(await parent.stdout.readline()))
    finally:
        with suppress(ProcessLookupError):
            parent.kill()
        await parent.wait()


@pytest.mark.parametrize("change", [KERNEL, WATCHER])
@pytest.mark.parametrize("when", ["at once", "later"])
async def test_a_child_does_not_outlive_a_parent_that_was_killed(
    tmp_path: Path, wait_until: WaitUntil, change: str, when: str
) -> None:
    """At once: while the child may not have become its program yet."""
    async with parent_and_child(tmp_path, change) as (parent, child):
        family = psutil.Process(parent.pid).children(recursive=True)
        assert child in family
        if when == "later":
            await wait_until(lambda: "up" in (tmp_path / "log").read_text())
        parent.kill()
        await parent.wait()
        await wait_until(lambda: not [each for each in family if is_alive(each)])


async def test_a_signal_to_the_group_leaves_the_watcher_for_those_that_are_deaf_to_it(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    async with parent_and_child(tmp_path, WATCHER.values[0]) as (parent, child):
        await wait_until(lambda: "up" in (tmp_path / "log").read_text())
        child.terminate()
        os.killpg(parent.pid, signal.SIGTERM)
        await parent.wait()
        await wait_until(lambda: not is_alive(child))


async def test_a_watcher_that_ended_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(parent_death, "has_parent_death_signal", lambda: False)
    before = await a_watcher(tmp_path)
    before.kill()
    await wait_until(lambda: not is_alive(before))
    assert (await a_watcher(tmp_path)).pid != before.pid


async def a_watcher(folder: Path) -> psutil.Process:
    """That of this process; a child that registers with it ends as ever."""
    child = await Child.start(Program(argv=(sys.executable, "-c", "pass")), log=folder / "log")
    assert await child.wait() == 0
    return next(
        each
        for each in psutil.Process().children()
        if is_alive(each) and parent_death.SCRIPT in each.cmdline()
    )


async def test_real_servers_and_a_service_end_with_a_killed_supervisor_where_the_kernel_does_not_help(
    up: Up, home: DataDirectory, wait_until: WaitUntil
) -> None:
    async with up(home, command=(sys.executable, "-c", WITH_ONE_SERVICE)) as running:
        await running.says("open")
        family = running.children()
        assert {"postgres", "nats-server"} <= {process.name() for process in family}
        assert [process for process in family if "cafeteria.identity" in process.cmdline()]
        assert [process for process in family if parent_death.SCRIPT in process.cmdline()]
        running.process.kill()
        await wait_until(lambda: not [each for each in family if is_alive(each)])
    assert not (home.postgres / "postmaster.pid").exists()  # it ended in good order
