"""What time starts: cooking when something is due, and asking whether the kitchen's news arrived.

At rest both cost next to nothing: cooking is woken by work and by the next due time, and looks every two seconds only
for what another replica left behind when it died.
"""

import asyncio
from time import monotonic
from types import TracebackType
from typing import Self

from cafeteria.chassis.clock import now
from cafeteria.chassis.loops import Loop
from cafeteria.kitchen.service.confirming import Confirming
from cafeteria.kitchen.service.cooking import Cooking, Tick

COOK_POLL_S = 2.0  # how late a dead replica's tickets are found
CONFIRM_EVERY_S = 2.0
HELD_PAUSE_S = 0.05  # before looking again for what is due but was held by somebody else


class CookLoop:
    """Runs `cooking` while its block is open; `wake` says that work has come."""

    def __init__(self, cooking: Cooking) -> None:
        self._cooking = cooking
        self._loop = Loop("cook", COOK_POLL_S, self._tick)
        self._timer: asyncio.TimerHandle | None = None
        self._full_until = 0.0

    def wake(self) -> None:
        """Start what has come; while every station is taken this can wait until the next one is due."""
        if monotonic() >= self._full_until:
            self._loop.wake()

    async def __aenter__(self) -> Self:
        await self._loop.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._loop.__aexit__(kind, error, trace)
        self._forget_timer()

    async def _tick(self) -> None:
        self._forget_timer()
        tick = await self._cooking.tick()
        rest_s = _rest_after(tick)
        self._full_until = monotonic() + min(rest_s, COOK_POLL_S) if tick.is_full else 0.0
        if rest_s < COOK_POLL_S:
            self._timer = asyncio.get_running_loop().call_later(rest_s, self._loop.wake)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _rest_after(tick: Tick) -> float:
    """Seconds until there is something to do that no wake will announce."""
    if tick.again_at is None:
        return COOK_POLL_S
    rest_s = max(0.0, (tick.again_at - now()).total_seconds())
    return rest_s if tick.moved else max(rest_s, HELD_PAUSE_S)


def confirm_loop(confirming: Confirming) -> Loop:
    return Loop("confirm", CONFIRM_EVERY_S, confirming.tick)
