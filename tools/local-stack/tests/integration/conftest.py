"""Fixtures that run `just up` as a separate process and observe its output, children and end."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager

import psutil
import pytest

from cafeteria.local_stack import ports
from cafeteria.local_stack.data_directory import DataDirectory, temporary_data_directory

START_TIMEOUT_S = 180.0  # five interpreters start together, perhaps beside other tests
UP = (sys.executable, "-m", "cafeteria.local_stack", "up")
OPEN = "keeps the data"  # the end of the last line of a start


Up = Callable[..., AbstractAsyncContextManager["UpProcess"]]


class UpProcess:
    """A running `up`: its output so far, its children and its exit code."""

    def __init__(self, process: Process, home: DataDirectory) -> None:
        self.process = process
        self.home = home
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, part: str) -> psutil.Process:
        """Return the descendant that runs `part`, which is the end of its command line."""
        processes = psutil.Process(self.process.pid).children(recursive=True)
        found = [each for each in processes if command(each).endswith(part)]
        assert len(found) == 1, found
        return found[0]

    def url(self, service: str) -> str:
        found = re.search(rf"{service}\s+│ (http://\S+)", self.output)
        assert found, self.output
        return found[1]

    def page(self, who: str) -> str:
        """Return the address that is printed for a role's page."""
        found = re.search(rf"│ {who}\s+│ (http://\S+)", self.output)
        assert found, self.output
        return found[1]

    async def prints(self, text: str) -> None:
        """Wait until the output contains `text`; fail at once if the process ends without it."""
        async with asyncio.timeout(START_TIMEOUT_S), self._changed:
            await self._changed.wait_for(lambda: text in self.output or self._reader.done())
        assert text in self.output, self.output

    async def exit_code(self) -> int:
        code = await self.process.wait()
        await self._reader
        return code

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            async with self._changed:
                self.lines.append(line.decode().rstrip())
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()  # a title leaves empty arguments behind it
    except psutil.NoSuchProcess:
        return ""


@pytest.fixture
def up() -> Up:
    """Run `just up`, or another `command`, on a data directory with extra variables; gives an `UpProcess`."""
    return started


@pytest.fixture
def home() -> Iterator[DataDirectory]:
    """A temporary data directory on a short path that Postgres' user can reach."""
    with temporary_data_directory() as folder:
        yield folder


@contextlib.asynccontextmanager
async def started(
    home: DataDirectory, *, command: tuple[str, ...] = UP, **variables: str
) -> AsyncIterator[UpProcess]:
    """Run it in its own process group, as a terminal does, with free ports for the services and the edge."""
    defaults = {
        "PYTHONUNBUFFERED": "1",
        "CAFETERIA_PORT_BASE": str(ports.free_ports(5)),
        "CAFETERIA_EDGE_PORT": str(ports.free_port()),
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **defaults, "CAFETERIA_HOME": str(home.root), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        stdin=asyncio.subprocess.DEVNULL,
        process_group=0,
        umask=0,
    )
    running = UpProcess(process, home)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await running.exit_code()
