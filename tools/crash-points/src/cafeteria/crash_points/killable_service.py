"""A killable service: a process that is killed and restarted again and again, behind its two wire proxies."""

import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp

from cafeteria.crash_points.wire_proxy import NATS, POSTGRES, WireProxy
from cafeteria.faultkit.tcp_proxy import HOST
from cafeteria.local_stack.child import Child
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.polling import is_true_within
from cafeteria.local_stack.service import service_program

READY_WITHIN_S = 30.0
ASK_TIMEOUT = aiohttp.ClientTimeout(total=2)


class NeverReadyError(Exception):
    """A service did not become ready again."""


class KillableService:
    """A killable service. `environment` is passed to the process and may be changed between two starts."""

    def __init__(
        self,
        service: str,
        *,
        fork_server: ForkServer,
        port: int,
        environment: dict[str, str],
        log: Path,
        proxies: Mapping[str, WireProxy],
    ) -> None:
        self.service = service
        self.environment = environment
        self.log = log
        self.proxies = proxies
        self.url = f"http://{HOST}:{port}"
        self._fork_server = fork_server
        self._child: Child | None = None

    async def start(self) -> None:
        """Start the process after a killed one has ended; `ready` waits until it serves."""
        if self._child is not None:
            await self._child.wait()
        self.environment |= {
            "CAFETERIA_POSTGRES_URL": f"postgresql://{HOST}:{self.proxies[POSTGRES].port}/cafeteria",
            "CAFETERIA_NATS_URL": f"nats://{HOST}:{self.proxies[NATS].port}",
        }
        program = service_program(self.service, self.environment)
        self._child = await self._fork_server.start(program, log=self.log)

    def kill(self) -> None:
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    async def restart(self) -> None:
        self.kill()
        await self.start()

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until the service reports that it is ready. Raises NeverReadyError."""

        async def says_so() -> bool:
            with suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                async with http.get(f"{self.url}/health/ready", timeout=ASK_TIMEOUT) as found:
                    return found.ok
            return False

        if not await is_true_within(READY_WITHIN_S, says_so):
            raise NeverReadyError(f"{self.service} was not ready {READY_WITHIN_S:.0f} s after it was started")
