"""Starts a child process that cannot outlive this one, with its output in a log file and optionally echoed."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from cafeteria.local_stack import launch, parent_death
from cafeteria.local_stack.polling import is_true_within
from cafeteria.local_stack.system_user import SAME_USER, SystemUser

LAUNCHER = str(Path(launch.__file__))
DESCENDANTS_S = 2.0  # a killed process ends at once, unless it waits for a disk
POLL_S = 0.02
LAST_LINES_S = 1.0  # time to read the last output; another process may keep the pipe open
YIELDING = 8  # a niceness: a sixth of the other sessions' share
MAX_LINE_BYTES = 1 << 20  # a longer line is a fault of the program, and is cut


@dataclass(frozen=True, kw_only=True)
class Program:
    """The command, environment and signals of a child process.

    `own_group`: signals to this process' group, such as Ctrl-C's, do not reach it. `yields`: it has a session of its
    own, which gets a sixth of a share on busy processors. `stop_signal` requests an orderly end; the child receives
    `death_signal` when this process dies.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    account: SystemUser = SAME_USER
    own_group: bool = False
    yields: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    cwd: Path | None = None


_FOR_DESCENDANTS_TOO = frozenset({signal.SIGSTOP, signal.SIGCONT})

Echo = Callable[[str], None]


class Running(Protocol):
    """The part of `asyncio.subprocess.Process` that `Child` uses."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...

    async def wait(self) -> int: ...


class Child:
    """A running program; `start` creates it."""

    def __init__(self, process: Running, program: Program, reader: asyncio.Task[None] | None = None) -> None:
        self._process = process
        self._program = program
        self._reader = reader

    @classmethod
    async def start(cls, program: Program, *, log: Path, echo: Echo | None = None) -> "Child":
        """Start the program and append its output to `log`; with `echo`, also pass each line to it."""
        with log.open("ab") as file:
            process = await spawn(
                program,
                env=dict(program.env),
                cwd=program.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if echo else file,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=program.own_group or program.yields,
                limit=MAX_LINE_BYTES,
            )
        reader = None
        if echo and process.stdout:
            reader = asyncio.create_task(_copy_lines(process.stdout, log, echo))
        return cls(process, program, reader)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    @property
    def is_frozen(self) -> bool:
        """Whether SIGSTOP has stopped it, by whatever sender."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal. SIGSTOP and SIGCONT also go to its descendants, such as Postgres' sessions."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        if number in _FOR_DESCENDANTS_TOO:
            for process in self._descendants():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    async def wait(self) -> int:
        code = await self._process.wait()
        parent_death.forget(self.pid)
        if self._reader:
            await asyncio.wait({self._reader}, timeout=LAST_LINES_S)
        return code

    async def stop(self, *, grace_s: float) -> int:
        """Request its end; after `grace_s` seconds kill it and its descendants. Returns the exit code."""
        self.signal(self._program.stop_signal)
        self.signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            await self._kill_with_descendants()
        return await self.wait()

    async def fall(self) -> int:
        """Kill it and its descendants at once, frozen ones too. Returns the exit code."""
        if self.exit_code is None:
            await self._kill_with_descendants()
        return await self.wait()

    async def _kill_with_descendants(self) -> None:
        """No new server can start on Postgres' data while a session of the killed one holds its memory."""
        descendants = self._descendants()
        self.signal(signal.SIGKILL)
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await is_true_within(DESCENDANTS_S, lambda: not any(map(is_alive, descendants)), poll_s=POLL_S)

    def _descendants(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def spawn(program: Program, **options: Any) -> Process:
    """Start the program through `launch`; `options` are those of `asyncio.create_subprocess_exec`."""
    watch = parent_death.watch_pipe()
    account = program.account
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", LAUNCHER),
        *(str(int(program.death_signal)), str(os.getpid()), str(watch), str(account.uid), str(account.gid)),
        str(YIELDING if program.yields else 0),
        *program.argv,
        pass_fds=() if watch == parent_death.NO_WATCH else (watch,),
        **options,
    )


async def _copy_lines(output: asyncio.StreamReader, log: Path, echo: Echo) -> None:
    with log.open("ab", buffering=0) as file:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # longer than the limit: asyncio has dropped the part that it read
                continue
            if not line:
                return
            file.write(line)
            with contextlib.suppress(OSError):  # the terminal is closed, as after `just up | head`
                echo(line.decode(errors="replace").rstrip("\n"))
