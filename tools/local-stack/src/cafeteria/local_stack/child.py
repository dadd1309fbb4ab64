"""One child process: started so that it cannot outlive this one, its output in a file or on the terminal."""

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
FAMILY_S = 2.0  # a killed process is gone at once, unless it waits for a disk
POLL_S = 0.02
LAST_LINES_S = 1.0  # what a program wrote is read to its end, unless somebody else holds its output open
YIELDING = 8  # a niceness: a sixth of what the others get
MAX_LINE_BYTES = 1 << 20  # a longer line is a fault of its writer; it is cut, not waited for


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run. `own_group`: a signal to this process' group, Ctrl-C too, does not reach it.

    `yields`: with a group and a session of its own, it gets a sixth of a share when processors are short.

    `stop_signal` asks it to end in good order; `death_signal` is what it gets when this process is gone.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    account: SystemUser = SAME_USER
    own_group: bool = False
    yields: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    cwd: Path | None = None


_FOR_THE_WHOLE_FAMILY = frozenset({signal.SIGSTOP, signal.SIGCONT})

Echo = Callable[[str], None]


class Running(Protocol):
    """A process of the system, as far as a child asks for it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...

    async def wait(self) -> int: ...


class Child:
    """A running program. Made by `start`; it is waited for once, by whoever calls `wait` first."""

    def __init__(self, process: Running, program: Program, reader: asyncio.Task[None] | None = None) -> None:
        self._process = process
        self._program = program
        self._reader = reader

    @classmethod
    async def start(cls, program: Program, *, log: Path, echo: Echo | None = None) -> "Child":
        """With `echo` each line of output goes there too, otherwise into `log` alone, appended."""
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

    def signal(self, number: signal.Signals) -> None:
        """Freezing and continuing reach its own children too, such as Postgres' sessions."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        if number in _FOR_THE_WHOLE_FAMILY:
            for process in self._family():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    async def wait(self) -> int:
        code = await self._process.wait()
        parent_death.forget(self.pid)
        if self._reader:
            await asyncio.wait({self._reader}, timeout=LAST_LINES_S)
        return code

    async def stop(self, *, grace_s: float) -> int:
        """Ask it to end; after `grace_s` end it, and what it started."""
        self.signal(self._program.stop_signal)
        self.signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            await self._end_with_family()
        return await self.wait()

    async def _end_with_family(self) -> None:
        """Nothing starts on Postgres' data while a session of the killed server still holds its memory."""
        family = self._family()
        self.signal(signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await is_true_within(FAMILY_S, lambda: not any(map(is_alive, family)), poll_s=POLL_S)

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []


def is_alive(process: psutil.Process) -> bool:
    """One that only waits to be reaped is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def spawn(program: Program, **options: Any) -> Process:
    """Start the program by way of `launch`; `options` are those of `asyncio.create_subprocess_exec`."""
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
            except ValueError:  # longer than the limit: what was read of it is dropped
                continue
            if not line:
                return
            file.write(line)
            with contextlib.suppress(OSError):  # nobody looks on any more, as after `just up | head`
                echo(line.decode(errors="replace").rstrip("\n"))
