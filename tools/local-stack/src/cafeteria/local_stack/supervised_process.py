"""Keeps one process running: a process that died restarts at once, and later with back-off.

Only `stop` and `fall` end it for good; `kill` simulates a fault.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cafeteria.chassis.runtime.clock import now
from cafeteria.local_stack.child import Child, Echo, Program
from cafeteria.local_stack.polling import is_true_within
from cafeteria.local_stack.tasks import ended
from cafeteria.provisioning.errors import StackError

BACK_OFF_S = (0.0, 0.25, 0.5, 1.0, 2.0)
"""The pauses before the first restart, the second, …; the last one repeats."""

STEADY_AFTER_S = 10.0  # after running this long, a process restarts with the first pause
STOP_GRACE_S = 4.0  # the whole stack must end within five seconds
LOOK_S = 0.25  # for a look whether a new process is ready: somebody waits for the answer
FREEZE_S = 1.0  # a process stops at its next interrupt, unless it waits for a disk

_FATAL = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
_FREEZING = frozenset({signal.SIGSTOP, signal.SIGCONT})

Ready = Callable[[Child], Awaitable[None]]


class State(StrEnum):
    """What a supervised process does. A frozen one is alive and does not answer; a stopped one stays away."""

    STARTING = "starting"
    RUNNING = "running"
    FROZEN = "frozen"
    STOPPED = "stopped"


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
        self._readied: Child | None = None
        self._spawning = asyncio.Lock()
        self._replaced = asyncio.Event()  # set when another child or a stop replaces the current child
        self.restarts = 0
        """How often it was started again after it died."""
        self.since = now()
        """When it last started, ended, was frozen or continued."""

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.exit_code is None

    @property
    def is_frozen(self) -> bool:
        return self._child is not None and self._child.exit_code is None and self._child.is_frozen

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
            await self._wait_ready(child)
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._watch(child))

    async def launch(self) -> None:
        """Start it and return at once: it is kept before it is ready. Raises `StackError` if it is running already."""
        if self.is_running:
            raise StackError(f"{self.name} is running already.")
        await self._stop_keeping()
        self._keeper = asyncio.create_task(self._watch(await self._spawn()))

    async def stop(self, *, grace_s: float = STOP_GRACE_S) -> None:
        """End the process for good: SIGKILL follows after `grace_s` seconds. Does nothing if it does not run."""
        await self._stop_keeping()
        if self._child is not None:
            await self._child.stop(grace_s=grace_s)
            self.since = now()

    async def fall(self) -> None:
        """End it at once with SIGKILL, as a lost machine would; it stays away until `start` or `launch`."""
        await self._stop_keeping()
        if self._child is not None:
            await self._child.fall()
            self.since = now()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and nothing else; a kept process restarts. SIGSTOP freezes it, SIGCONT continues it."""
        if self._child is None:
            return
        if number in _FATAL:
            self._killed = self._child
        self._child.signal(number)
        if number in _FREEZING:
            self.since = now()

    async def state(self) -> State:
        """What the process does now. A new one is starting until it is ready; this looks for LOOK_S at most."""
        child = self._child
        if child is None or child.exit_code is not None or child is self._killed:
            return State.STARTING if self._is_kept else State.STOPPED
        if self.is_frozen:
            return State.FROZEN
        return State.RUNNING if child is self._readied or await self._is_ready_soon(child) else State.STARTING

    async def freeze(self) -> None:
        """Send SIGSTOP and return once the process stands still."""
        await self._send_and_see(signal.SIGSTOP, is_frozen=True)

    async def thaw(self) -> None:
        """Send SIGCONT and return once the process goes on."""
        await self._send_and_see(signal.SIGCONT, is_frozen=False)

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
                    return await self._wait_ready(child)
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

    async def _wait_ready(self, child: Child) -> None:
        await self._ready(child)
        self._readied = child

    async def _is_ready_soon(self, child: Child) -> bool:
        with contextlib.suppress(StackError, TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._wait_ready(child)
        return child is self._readied

    async def _send_and_see(self, number: signal.Signals, *, is_frozen: bool) -> None:
        self.kill(number)
        child = self._child
        if child is not None:
            await is_true_within(
                FREEZE_S, lambda: child.exit_code is not None or child.is_frozen == is_frozen
            )

    async def _spawn(self) -> Child:
        async with self._spawning:
            self._child = await self._start(self._program(), log=self.log_file, echo=self._echo)
        self.since = now()
        self._replaced.set()
        self._replaced = asyncio.Event()
        return self._child

    async def _stop_keeping(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            async with (
                self._spawning
            ):  # a restart that is cancelled half-way would leave a process that nobody knows
                await ended(keeper)
        self._replaced.set()

    async def _watch(self, child: Child) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            code = await child.wait()
            self.since = now()
            if not self._keep:
                return
            failures = 0 if time.monotonic() - started > STEADY_AFTER_S else failures
            pause_s = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
            failures += 1
            logger.warning("%s ended (%s), it is started again", self.name, _reason(code))
            await asyncio.sleep(pause_s)
            try:
                child = await self._spawn()
                self.restarts += 1
            except OSError:  # the system has no process left: the loop tries again
                logger.exception("%s could not be started; the next attempt follows", self.name)


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
