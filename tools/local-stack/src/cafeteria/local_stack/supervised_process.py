"""Keeps one process running: a process that died restarts at once, and later with back-off.

Only `stop` ends it for good; `kill` simulates a fault.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol

from cafeteria.local_stack.child import Child, Echo, Program
from cafeteria.local_stack.tasks import ended
from cafeteria.provisioning.errors import StackError

BACK_OFF_S = (0.0, 0.25, 0.5, 1.0, 2.0)
"""The pauses before the first restart, the second, …; the last one repeats."""

STEADY_AFTER_S = 10.0  # after running this long, a process restarts with the first pause
STOP_GRACE_S = 4.0  # the whole stack must end within five seconds

_FATAL = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})

Ready = Callable[[Child], Awaitable[None]]


class Start(Protocol):
    """How a program becomes a child: `Child.start`, or a fork server's."""

    async def __call__(self, program: Program, *, log: Path, echo: Echo | None = None) -> Child: ...


logger = logging.getLogger(__name__)


class SupervisedProcess:
    """A process that restarts when it dies, if `keep` is set.

    Every start calls `program`, so that a changed environment takes effect. `ready` returns once the child answers,
    and raises `StackError` if it ended instead.
    """

    def __init__(
        self,
        name: str,
        *,
        program: Callable[[], Program],
        ready: Ready,
        log: Path,
        echo: Echo | None = None,
        keep: bool = True,
        start: Start = Child.start,
    ) -> None:
        self.name = name
        self.log_file = log
        self._program = program
        self._ready = ready
        self._echo = echo
        self._keep = keep
        self._start = start
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._killed: Child | None = None
        self._replaced = asyncio.Event()  # set when another child or a stop replaces the current child

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.exit_code is None

    @property
    def pid(self) -> int:
        """The process id. Raises `StackError` while it does not run."""
        if self._child is None or self._child.exit_code is not None:
            raise StackError(f"{self.name} is not running.")
        return self._child.pid

    async def start(self) -> None:
        """Start it and return once it is ready. Raises `StackError` when it ends before that."""
        if self.is_running:
            raise StackError(f"{self.name} is running already.")
        await self._stop_keeping()
        child = await self._spawn()
        try:
            await self._ready(child)
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._watch(child))

    async def stop(self, *, grace_s: float = STOP_GRACE_S) -> None:
        """End the process for good: SIGKILL follows after `grace_s` seconds. Does nothing if it does not run."""
        await self._stop_keeping()
        if self._child is not None:
            await self._child.stop(grace_s=grace_s)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and nothing else; a kept process restarts. SIGSTOP freezes it, SIGCONT continues it."""
        if self._child is None:
            return
        if number in _FATAL:
            self._killed = self._child
        self._child.signal(number)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the process within the context: it is alive and does not answer."""
        self.kill(signal.SIGSTOP)
        try:
            yield
        finally:
            self.kill(signal.SIGCONT)

    async def ended(self) -> int:
        """Wait until the current process ends; return its exit code."""
        return await self._child.wait() if self._child else 0

    async def ready(self) -> None:
        """Wait until the process, or its successor after a `kill`, is ready. Raises `StackError` if there is none."""
        while (child := self._child) is not None:
            replaced = self._replaced
            try:
                if child is not self._killed:
                    return await self._ready(child)
            except StackError:
                if not self._is_kept:
                    raise
            if not self._is_kept:
                break
            await replaced.wait()
        raise StackError(f"{self.name} is not running.")

    @property
    def _is_kept(self) -> bool:
        return self._keep and self._keeper is not None

    async def _spawn(self) -> Child:
        self._child = await self._start(self._program(), log=self.log_file, echo=self._echo)
        self._replaced.set()
        self._replaced = asyncio.Event()
        return self._child

    async def _stop_keeping(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await ended(keeper)
        self._replaced.set()

    async def _watch(self, child: Child) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            code = await child.wait()
            if not self._keep:
                return
            failures = 0 if time.monotonic() - started > STEADY_AFTER_S else failures
            pause_s = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
            failures += 1
            logger.warning("%s ended (%s), it is started again", self.name, _reason(code))
            await asyncio.sleep(pause_s)
            try:
                child = await self._spawn()
            except OSError:  # the system has no process left: the loop tries again
                logger.exception("%s could not be started; the next attempt follows", self.name)


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
