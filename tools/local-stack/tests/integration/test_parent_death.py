"""No process outlives a killed supervisor, on kernels with and without a parent-death signal."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from cafeteria.local_stack import parent_death
from cafeteria.local_stack.child import Child, Program, is_alive
from cafeteria.local_stack.data_directory import DataDirectory

if TYPE_CHECKING:
    from conftest import Up

WaitUntil = Callable[..., Any]

KERNEL = pytest.param(
    "",
    id="by the kernel",
    marks=pytest.mark.skipif(
        not parent_death.has_parent_death_signal(), reason="this kernel sends no signal at a parent's death"
    ),
)
WITHOUT_KERNEL_SIGNAL = "parent_death.has_parent_death_signal = lambda: False"
WATCHER = pytest.param(WITHOUT_KERNEL_SIGNAL, id="by the watcher")
WITH_ONE_SERVICE = f"""
import asyncio
from cafeteria.contracts.subjects import IDENTITY, SERVICES
from cafeteria.local_stack import parent_death
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack

{WITHOUT_KERNEL_SIGNAL}
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
    ignores_sigterm = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    short = Program(argv=(sys.executable, "-c", "pass"))
    await (await Child.start(short, log=Path(sys.argv[1]))).wait()
    program = Program(argv=(sys.executable, "-c", ignores_sigterm), own_group=True)
    child = await Child.start(program, log=Path(sys.argv[1]))
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


@asynccontextmanager
async def parent_and_child(folder: Path, change: str) -> AsyncIterator[tuple[Process, psutil.Process]]:
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
async def test_a_child_ends_with_its_killed_parent(
    tmp_path: Path, wait_until: WaitUntil, change: str, when: str
) -> None:
    """`at once` kills the parent before the child may have become its program."""
    async with parent_and_child(tmp_path, change) as (parent, child):
        processes = psutil.Process(parent.pid).children(recursive=True)
        assert child in processes
        if when == "later":
            await wait_until(lambda: "up" in (tmp_path / "log").read_text())
        parent.kill()
        await parent.wait()
        await wait_until(lambda: not [each for each in processes if is_alive(each)])


async def test_the_watcher_survives_a_signal_to_the_group_and_ends_a_child_that_ignores_it(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    async with parent_and_child(tmp_path, WITHOUT_KERNEL_SIGNAL) as (parent, child):
        await wait_until(lambda: "up" in (tmp_path / "log").read_text())
        child.terminate()
        os.killpg(parent.pid, signal.SIGTERM)
        await parent.wait()
        await wait_until(lambda: not is_alive(child))


async def test_an_ended_watcher_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(parent_death, "has_parent_death_signal", lambda: False)
    before = await watcher_after_a_child(tmp_path, wait_until)
    before.kill()
    await wait_until(lambda: not is_alive(before))
    assert (await watcher_after_a_child(tmp_path, wait_until)).pid != before.pid


async def watcher_after_a_child(folder: Path, wait_until: WaitUntil) -> psutil.Process:
    """Start a child, which registers and ends, and return this process' watcher."""
    child = await Child.start(Program(argv=(sys.executable, "-c", "pass")), log=folder / "log")
    assert await child.wait() == 0
    found: psutil.Process = await wait_until(_watcher)  # it has its command only once it runs
    return found


def _watcher() -> psutil.Process | None:
    children = psutil.Process().children()
    return next((each for each in children if is_alive(each) and parent_death.SCRIPT in each.cmdline()), None)


async def test_servers_and_a_service_end_with_a_killed_supervisor_without_the_kernels_signal(
    up: "Up", home: DataDirectory, wait_until: WaitUntil
) -> None:
    async with up(home, command=(sys.executable, "-c", WITH_ONE_SERVICE)) as running:
        await running.prints("open")
        processes = running.children()
        assert {"postgres", "nats-server"} <= {process.name() for process in processes}
        assert [process for process in processes if "cafeteria.identity" in process.cmdline()]
        assert [process for process in processes if parent_death.SCRIPT in process.cmdline()]
        running.process.kill()
        await wait_until(lambda: not [each for each in processes if is_alive(each)])
    assert not (home.postgres / "postmaster.pid").exists()  # Postgres shut down properly
