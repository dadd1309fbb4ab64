"""Starts services and their commands as forks of a process that has imported the services, which saves two seconds per start.

A fork is a full process with its own pid, signals and exit code. It runs the code as it was when the fork server started.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack import fork_server_process
from cafeteria.local_stack.child import YIELDING, Child, Echo, Program, spawn
from cafeteria.local_stack.tasks import ended

SCRIPT = str(Path(fork_server_process.__file__))
FOLLOW_S = 0.1  # how often a fork's log is looked at for new lines


class ForkServer:
    """Use it as a context manager: it imports the services in the background, and all forks end with it."""

    def __init__(self, services: Iterable[str] = SERVICES) -> None:
        self._services = tuple(services)
        self._pending: deque[asyncio.Future[_Fork | None]] = deque()
        self._forks: dict[int, _Fork] = {}

    async def __aenter__(self) -> Self:
        argv = (sys.executable, "-P", SCRIPT, *self._services)
        self._process = await spawn(
            Program(argv=argv, death_signal=signal.SIGTERM),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C is the supervisor's: it stops the forks in order
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()
        await ended(self._reader)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start(self, program: Program, *, log: Path, echo: Echo | None = None) -> Child:
        """Start a program `python -m <module> …` as `Child.start` does, and by that once the fork server has ended."""
        begins_at = _size(log)
        _, _, module, *arguments = program.argv
        request = {
            "module": module,
            "arguments": arguments,
            "environment": dict(program.env),
            "log": str(log),
            "own_session": program.own_group or program.yields,
            "niceness": YIELDING if program.yields else 0,
        }
        fork = await self._fork(request)
        if fork is None:
            return await Child.start(program, log=log, echo=echo)
        follower = asyncio.create_task(_follow(log, begins_at, fork, echo)) if echo else None
        return Child(fork, program, follower)

    async def _fork(self, request: dict[str, Any]) -> "_Fork | None":
        """Return a new fork, or None once the fork server has ended."""
        started: asyncio.Future[_Fork | None] = asyncio.get_running_loop().create_future()
        self._pending.append(started)
        if self._process.stdin and not self._reader.done():
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        else:
            self._end_all()
        return await started

    async def _read(self) -> None:
        assert self._process.stdout  # noqa: S101 - opened by `__aenter__`
        async for line in self._process.stdout:
            report = json.loads(line)
            if "exit_code" in report:
                self._forks.pop(report["pid"]).end(report["exit_code"])
            else:
                self._forks[report["pid"]] = fork = _Fork(report["pid"])
                self._pending.popleft().set_result(fork)
        self._end_all()

    def _end_all(self) -> None:
        """Mark all forks as killed, and pending starts as without one: the fork server has ended."""
        while self._pending:
            self._pending.popleft().set_result(None)
        while self._forks:
            self._forks.popitem()[1].end(-signal.SIGKILL)


class _Fork:
    """A fork as `child.Running`."""

    stdout = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._exit_code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        return self._exit_code.result() if self._exit_code.done() else None

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    async def wait(self) -> int:
        return await asyncio.shield(self._exit_code)

    def end(self, exit_code: int) -> None:
        self._exit_code.set_result(exit_code)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


async def _follow(log: Path, begins_at: int, fork: _Fork, echo: Echo) -> None:
    """Echo each line that the fork adds to its log. A log that was rotated is shorter, and is read from its beginning."""
    with log.open("a+b") as file:
        file.seek(begins_at)
        rest, has_ended = b"", False
        while not has_ended:
            await asyncio.sleep(FOLLOW_S)
            has_ended = fork.returncode is not None
            if os.fstat(file.fileno()).st_size < file.tell():
                file.seek(0)
                rest += b"\n" if rest else b""  # what follows is another line
            *lines, rest = (rest + file.read()).split(b"\n")
            if has_ended and rest:  # a last line that has no end
                lines.append(rest)
            for line in lines:
                with suppress(OSError):  # the terminal is closed, as after `just up | head`
                    echo(line.decode(errors="replace"))
