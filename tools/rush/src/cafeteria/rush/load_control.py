"""Load control: orders begin as fast as answers allow, at most two waves ahead of the faults.

Everything runs on one small machine. So the number of orders in flight grows while answers are quick and shrinks when
they are slow, and faults strike both an idle and a busy system.
"""

import asyncio
from time import monotonic

FEWEST_IN_FLIGHT, MOST_IN_FLIGHT = 4.0, 48.0
QUICK_S = 0.25  # a quicker answer means free capacity
SLOW_S = 1.0
SHRINK = 0.9
MOST_PER_S = 120.0  # above it the generator itself takes more than its share of two cores
FEWEST_PER_S = 15.0
LAST_S = 6.0
"""Allowed orders are spread over this time, so that every fault strikes while students order."""


class LoadControl:
    """Limits how many orders begin. The nemesis raises `allowed`, the number that may have begun so far."""

    def __init__(self, *, orders: int) -> None:
        self.orders = orders
        self.allowed = 0
        self.begun = 0
        self.in_flight = 0
        self.most_in_flight = FEWEST_IN_FLIGHT * 2
        self._next_at = 0.0
        self._changed = asyncio.Event()
        self._begun = asyncio.Event()

    @property
    def is_over(self) -> bool:
        return self.begun >= self.orders

    def allow(self, orders: int) -> None:
        """Allow this many orders to have begun, in total."""
        self.allowed = max(self.allowed, min(orders, self.orders))
        self._changed.set()

    async def acquire(self) -> bool:
        """Wait until one more order may begin; False when all have begun."""
        while not self.is_over:
            self._changed.clear()
            if self.begun < self.allowed and self.in_flight < self.most_in_flight:
                await self._space()
                self.begun += 1
                self.in_flight += 1
                self._begun.set()
                return True
            await self._changed.wait()
        return False

    def over(self, took_s: float) -> None:
        """Note that one order has its answer, or gave up."""
        self.in_flight -= 1
        if took_s < QUICK_S:
            self.most_in_flight = min(MOST_IN_FLIGHT, self.most_in_flight + 1 / self.most_in_flight)
        elif took_s > SLOW_S:
            self.most_in_flight = max(FEWEST_IN_FLIGHT, self.most_in_flight * SHRINK)
        self._changed.set()

    async def until_begun(self, orders: int) -> None:
        """Wait until this many orders have begun."""
        while self.begun < min(orders, self.orders):
            self._begun.clear()
            await self._begun.wait()

    async def _space(self) -> None:
        per_s = min(MOST_PER_S, max(FEWEST_PER_S, (self.allowed - self.begun) / LAST_S))
        now = monotonic()
        self._next_at = max(self._next_at + 1 / per_s, now)
        if self._next_at > now:
            await asyncio.sleep(self._next_at - now)
