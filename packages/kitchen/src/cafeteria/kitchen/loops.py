"""The kitchen's jobs: cook tickets when they are due, and reconcile the delivery of status events.

Both cost next to nothing at rest: new work and the next due time wake the cook job, and its poll every two seconds
only finds tickets that a replica left behind when it died.
"""

import asyncio
from time import monotonic
from types import TracebackType
from typing import Self

from cafeteria.chassis.jobs import Loop
from cafeteria.chassis.runtime.clock import now
from cafeteria.kitchen.service.confirming import Confirming
from cafeteria.kitchen.service.cooking import Cooking, Tick

COOK_POLL_S = 2.0  # how late a dead replica's tickets are found
CONFIRM_EVERY_S = 2.0
HELD_PAUSE_S = 0.05  # before the next try on due tickets that another transaction has locked


class CookLoop:
    """Runs `cooking` while its block is open; `wake` announces new work."""

    def __init__(self, cooking: Cooking) -> None:
        self._cooking = cooking
        self._loop = Loop("cook", COOK_POLL_S, self._tick)
        self._timer: asyncio.TimerHandle | None = None
        self._full_until = 0.0

    def wake(self) -> None:
        """Run a tick soon; while every station is taken, the tick waits until the next ticket is due."""
        if monotonic() >= self._full_until:
            self._loop.wake()

    async def __aenter__(self) -> Self:
        await self._loop.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._loop.__aexit__(kind, error, trace)
        self._cancel_timer()

    async def _tick(self) -> None:
        self._cancel_timer()
        tick = await self._cooking.tick()
        pause_s = _pause_after(tick)
        self._full_until = monotonic() + min(pause_s, COOK_POLL_S) if tick.is_full else 0.0
        if pause_s < COOK_POLL_S:
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._loop.wake)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _pause_after(tick: Tick) -> float:
    """Return the seconds until the next work that no call of `wake` announces."""
    if tick.again_at is None:
        return COOK_POLL_S
    pause_s = max(0.0, (tick.again_at - now()).total_seconds())
    return pause_s if tick.moved else max(pause_s, HELD_PAUSE_S)


def confirm_loop(confirming: Confirming) -> Loop:
    return Loop("confirm", CONFIRM_EVERY_S, confirming.tick)
