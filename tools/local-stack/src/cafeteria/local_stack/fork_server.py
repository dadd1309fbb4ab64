"""Starts services and their commands as forks of a process that has imported the services, which saves two seconds per start.

Tests and repeated starts use it; `just up` starts interpreters. A fork is a full process with its own pid, signals and
exit code.
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
from cafeteria.provisioning.errors import StackError

SCRIPT = str(Path(fork_server_process.__file__))


class ForkServer:
    """Use it as a context manager: it imports the services in the background, and all forks end with it."""

    def __init__(self, services: Iterable[str] = SERVICES) -> None:
        self._services = tuple(services)
        self._pending: deque[asyncio.Future[_Fork]] = deque()
        self._forks: dict[int, _Fork] = {}

    async def __aenter__(self) -> Self:
        argv = (sys.executable, "-P", SCRIPT, *self._services)
        self._process = await spawn(Program(argv=argv, death_signal=signal.SIGTERM), stdin=PIPE, stdout=PIPE)
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
        """Start a program `python -m <module> …` as `Child.start` does. Raises `StackError` once the fork server has ended."""
        if echo is not None:
            raise StackError("A fork cannot echo its output: it writes to its log only.")
        _, _, module, *arguments = program.argv
        request = {
            "module": module,
            "arguments": arguments,
            "environment": dict(program.env),
            "log": str(log),
            "own_session": program.own_group or program.yields,
            "niceness": YIELDING if program.yields else 0,
        }
        return Child(await self._fork(request), program)

    async def _fork(self, request: dict[str, Any]) -> "_Fork":
        started: asyncio.Future[_Fork] = asyncio.get_running_loop().create_future()
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
        """Mark all forks as killed and fail all pending starts: the fork server has ended."""
        while self._pending:
            self._pending.popleft().set_exception(StackError("The fork server of the services has ended."))
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
