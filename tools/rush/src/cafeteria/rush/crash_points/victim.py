"""One service as a process that is killed and comes back, again and again, behind its two taps."""

import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp

from cafeteria.local_stack.child import Program, spawn
from cafeteria.rush.crash_points import spare
from cafeteria.rush.crash_points.tap import NATS, POSTGRES, Tap
from cafeteria.rush.crash_points.waiting import true_within
from cafeteria.rush.proxy import HOST

SPARE = str(Path(spare.__file__))
READY_WITHIN_S = 30.0
POLL_S = 0.02
ASK_TIMEOUT = aiohttp.ClientTimeout(total=2)


class NeverReadyError(Exception):
    """A service did not come back."""


class Victim:
    """`environment` is what the service is started with, and may be changed between two starts."""

    def __init__(
        self, service: str, *, port: int, environment: dict[str, str], log: Path, taps: Mapping[str, Tap]
    ) -> None:
        self.service = service
        self.environment = environment
        self.log = log
        self.taps = taps
        self.url = f"http://{HOST}:{port}"
        self._spare: Process | None = None
        self._pid: int | None = None

    async def load(self) -> None:
        """Start the spare process; it answers once all modules are loaded."""
        program = Program(argv=(sys.executable, "-P", SPARE, self.service))
        with self.log.open("ab") as log:
            self._spare = await spawn(program, stdin=PIPE, stdout=PIPE, stderr=log)

    async def start(self) -> None:
        """Returns once the process is there; `ready` waits until it serves."""
        process = self._loaded()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the spare process has pipes")
        self.environment |= {
            "CAFETERIA_POSTGRES_URL": f"postgresql://{HOST}:{self.taps[POSTGRES].port}/cafeteria",
            "CAFETERIA_NATS_URL": f"nats://{HOST}:{self.taps[NATS].port}",
        }
        order = {"environment": self.environment, "log": str(self.log)}
        process.stdin.write(json.dumps(order).encode() + b"\n")
        answer = await process.stdout.readline()
        if not answer:
            raise NeverReadyError(f"{self.service} cannot be loaded; its log is {self.log}")
        self._pid = int(answer)

    def kill(self) -> None:
        """The spare process has not waited for it yet, so nobody else can have its pid."""
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)

    async def restart(self) -> None:
        self.kill()
        await self.start()

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until it says so. Raises NeverReadyError."""

        async def says_so() -> bool:
            with suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                async with http.get(f"{self.url}/health/ready", timeout=ASK_TIMEOUT) as found:
                    return found.ok
            return False

        if not await true_within(READY_WITHIN_S, says_so, every_s=POLL_S):
            raise NeverReadyError(f"{self.service} was not ready {READY_WITHIN_S:.0f} s after it was started")

    async def end(self) -> None:
        """For good; the process that became the service goes with the one that it came from."""
        process, self._spare = self._spare, None
        if process is not None:
            self.kill()
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _loaded(self) -> Process:
        if self._spare is None:
            raise RuntimeError("load comes first")
        return self._spare
