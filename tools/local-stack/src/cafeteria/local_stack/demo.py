"""What the demo controls do: switch members of a running stack off and on, freeze them, and let a crowd order.

Every change is made by the supervisor itself, with signals, so that it works while any member is away; no service takes
part in it. The edge and the supervisor are no members here: without them nobody could switch the others on again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal

import msgspec

from cafeteria.chassis.runtime.errors import Conflict, NotFound
from cafeteria.contracts.subjects import KITCHEN, SERVICES
from cafeteria.local_stack.crowd import Crowd, CrowdStatus, is_installed
from cafeteria.local_stack.plan import service_of
from cafeteria.local_stack.servers import NATS, POSTGRES
from cafeteria.local_stack.stack import Stack
from cafeteria.local_stack.supervised_process import State, SupervisedProcess
from cafeteria.provisioning.targets import read_variable

KitchenMode = Literal["auto", "manual"]

_MODE = "KITCHEN_MODE"
_SWITCHED = frozenset({*SERVICES, POSTGRES, NATS})


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the stack. `pid` is null while none runs, `since` the moment at which its state began."""

    name: str
    state: State
    pid: int | None
    restarts: int
    since: datetime


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """The state of everything that the controls change. `crowd` is the last one, null before the first.

    `can_crowd`: the program of a crowd is installed.
    """

    members: tuple[Member, ...]
    kitchen_mode: str
    can_crowd: bool
    crowd: CrowdStatus | None


class DemoControls:
    """Changes a running stack. Changes of one member take turns."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._crowd: Crowd | None = None
        self._crowd_starts = asyncio.Lock()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def status(self) -> Demo:
        """Return the state of all members; takes a quarter of a second at most, while some are starting."""
        return Demo(
            members=tuple(await asyncio.gather(*map(self._look_at, self._names))),
            kitchen_mode=self._kitchen_mode,
            can_crowd=is_installed(),
            crowd=self._crowd.status if self._crowd else None,
        )

    async def act(self, name: str, action: str) -> None:
        """Do one of ACTIONS with a member. Raises NotFound for others, Conflict where no process runs that could."""
        if name not in self._names:
            raise NotFound(f"There is no such member. Nothing was done. There are {', '.join(self._names)}.")
        if action not in ACTIONS:
            raise NotFound(f"There is no such switch. Nothing was done. There are {', '.join(ACTIONS)}.")
        async with self._turns[name]:
            await ACTIONS[action](self._stack.member(name))

    async def set_kitchen_mode(self, mode: KitchenMode) -> None:
        """Restart the kitchen with another mode; one that is off stays off and has it at its next start."""
        if mode == self._kitchen_mode:
            return
        self._stack.environments.setdefault(KITCHEN, {}).update({_MODE: mode, f"{_MODE}_FILE": ""})
        for name in (name for name in self._names if service_of(name) == KITCHEN):
            async with self._turns[name]:
                await _restart(self._stack.member(name))

    async def start_crowd(self, *, students: int, within_s: float, hot: bool) -> None:
        """Let students order. Raises Conflict while others do, and NotFound where the program is not installed."""
        async with self._crowd_starts:
            if self._crowd and self._crowd.is_running:
                raise Conflict(
                    "A crowd is ordering already. Wait for its end, or stop it. No other was started."
                )
            self._crowd = await Crowd.start(self._stack, students=students, within_s=within_s, hot=hot)

    def stop_crowd(self) -> None:
        """Let the students of a running crowd order no more, and ask for their orders."""
        if self._crowd:
            self._crowd.stop()

    async def close(self) -> None:
        """End a running crowd at once."""
        if self._crowd:
            await self._crowd.close()

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(name for name in self._stack.names if service_of(name) in _SWITCHED)

    @property
    def _kitchen_mode(self) -> str:
        return read_variable(self._stack.environment_of(KITCHEN), _MODE) or "auto"

    async def _look_at(self, name: str) -> Member:
        member = self._stack.member(name)
        state = await member.state()
        return Member(
            name=name,
            state=state,
            pid=member.pid if member.is_running else None,
            restarts=member.restarts,
            since=member.since,
        )


async def _off(member: SupervisedProcess) -> None:
    await member.fall()


async def _on(member: SupervisedProcess) -> None:
    match await member.state():
        case State.STOPPED:
            await member.launch()
        case State.FROZEN:
            await member.thaw()


async def _kill(member: SupervisedProcess) -> None:
    """Kill it once; it comes back by itself. Sessions of a frozen Postgres would not notice that it has died."""
    _require_process(member)
    if member.is_frozen:
        await member.thaw()
    member.kill()


async def _freeze(member: SupervisedProcess) -> None:
    _require_process(member)
    await member.freeze()


async def _thaw(member: SupervisedProcess) -> None:
    if member.is_frozen:
        await member.thaw()


def _require_process(member: SupervisedProcess) -> None:
    if not member.is_running:
        raise Conflict(f"{member.name} does not run. Switch it on first. Nothing was done.")


async def _restart(member: SupervisedProcess) -> None:
    if await member.state() != State.STOPPED:
        await member.stop()
        await member.launch()


ACTIONS: Mapping[str, Callable[[SupervisedProcess], Awaitable[None]]] = MappingProxyType(
    {"off": _off, "on": _on, "kill": _kill, "freeze": _freeze, "thaw": _thaw}
)
