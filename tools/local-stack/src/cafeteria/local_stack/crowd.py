"""A crowd of students who order: a child process, and what it has reported.

The program belongs to another package, which this one does not import: where it is not installed there is no crowd. It
gets its students and their access tokens on standard input, because arguments are visible to all users of a machine and
two hundred logins would take seconds of hashing. It prints its figures once a second, and ends by itself.
"""

import asyncio
import logging
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from importlib.util import find_spec
from typing import Literal
from uuid import uuid4

import msgspec

from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import NotFound
from cafeteria.contracts.subjects import GATEWAY, IDENTITY, NOTIFICATION
from cafeteria.contracts.values import Role
from cafeteria.local_stack.child import Program, spawn
from cafeteria.local_stack.crowd_messages import Figures, Instructions
from cafeteria.local_stack.edge import EDGE
from cafeteria.local_stack.plan import service_of
from cafeteria.local_stack.stack import Stack
from cafeteria.local_stack.tasks import ended

PROGRAM = "cafeteria.rush.visitors"
TOKEN_LIFETIME = timedelta(hours=1)  # longer than a crowd lives
STOP_GRACE_S = 0.5  # of the five seconds in which the whole stack must end

logger = logging.getLogger(__name__)


class CrowdStatus(Figures, kw_only=True):
    """The figures, of how many students they are, and whether these still order."""

    state: Literal["running", "ended"]
    students: int


_FIGURES = msgspec.json.Decoder(Figures)


class Crowd:
    """One crowd; `start` creates it."""

    def __init__(self, process: Process, instructions: Instructions) -> None:
        self._process = process
        self._students = len(instructions.tokens)
        self._figures = Figures()
        self._talking = asyncio.create_task(self._talk(msgspec.json.encode(instructions)))

    @classmethod
    async def start(cls, stack: Stack, *, students: int, within_s: float, hot: bool) -> "Crowd":
        """Start the program. Raises NotFound where it is not installed."""
        if not is_installed():
            raise NotFound(
                "There is no crowd here: its program, cafeteria-rush, is not installed. Nobody orders."
            )
        instructions = _instructions(stack, students=students, within_s=within_s, hot=hot)
        program = Program(argv=(sys.executable, "-m", PROGRAM), yields=True)
        with (stack.home.logs / "crowd.log").open("ab") as log:
            process = await spawn(program, stdin=PIPE, stdout=PIPE, stderr=log, start_new_session=True)
        return cls(process, instructions)

    @property
    def is_running(self) -> bool:
        return not self._talking.done()

    @property
    def status(self) -> CrowdStatus:
        return CrowdStatus(
            **msgspec.structs.asdict(self._figures),
            state="running" if self.is_running else "ended",
            students=self._students,
        )

    def stop(self) -> None:
        """Ask the program to end: nobody orders any more, and each promised order is asked for."""
        if self.is_running:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    async def close(self) -> None:
        """End the program within STOP_GRACE_S."""
        self.stop()
        await asyncio.wait({self._talking}, timeout=STOP_GRACE_S)
        if self.is_running:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        await ended(self._talking)

    async def _talk(self, instructions: bytes) -> None:
        """Tell the program what to do, in the background: it reads only once it has started. Then read its figures."""
        assert self._process.stdin  # noqa: S101 - opened by `start`
        assert self._process.stdout  # noqa: S101 - the same
        with suppress(BrokenPipeError, ConnectionResetError):  # it has ended already
            self._process.stdin.write(instructions)
            await self._process.stdin.drain()
        self._process.stdin.close()
        async for line in self._process.stdout:
            self._figures = _FIGURES.decode(line)
        code = await self._process.wait()
        if code not in (0, -signal.SIGTERM):
            logger.warning(
                "the crowd of students ended with code %s: the end of logs/crowd.log says why", code
            )
        logger.info("the crowd has ended: %s", _summary(self._figures))


def _summary(figures: Figures) -> str:
    lost = "its orders were not all asked for" if figures.lost is None else f"{figures.lost} lost"
    return f"{figures.placed} orders placed, {figures.accepted} accepted, {figures.refused} refused, {lost}"


def is_installed() -> bool:
    """Whether there is a program that could be a crowd."""
    try:
        return find_spec(PROGRAM) is not None
    except ModuleNotFoundError:  # not even its package
        return False


def _instructions(stack: Stack, *, students: int, within_s: float, hot: bool) -> Instructions:
    """Sign a token for each student. They have no accounts: their orders are in the list of nobody who signs in here."""
    from cafeteria.identity.signing_keys import SigningKeys  # noqa: PLC0415 - a slow import

    keys = SigningKeys.load(stack.environment_of(IDENTITY)["IDENTITY_SIGNING_KEY_FILE"])
    begin = now()
    tokens = {
        student_id: keys.sign_access_token(
            student_id=student_id,
            role=Role.STUDENT,
            session=uuid4(),
            issued_at=begin,
            expires_at=begin + TOKEN_LIFETIME,
        )
        for student_id in visitor_ids(students)
    }
    return Instructions(
        gateways=_addresses(stack, GATEWAY),
        notifications=_addresses(stack, NOTIFICATION),
        tokens=tokens,
        within_s=within_s,
        hot=hot,
    )


def visitor_ids(count: int) -> Iterable[str]:
    return (f"visitor-{number:03}" for number in range(1, count + 1))


def _addresses(stack: Stack, service: str) -> tuple[str, ...]:
    """Return the edge's address, through which browsers reach every service, else those of the service's replicas."""
    if EDGE in stack.names:
        return (stack.url(EDGE),)
    return tuple(stack.url(name) for name in stack.names if service_of(name) == service)
