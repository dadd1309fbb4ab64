"""Batches of a busy lane begin some milliseconds apart; an idle one waits for nothing.

What a batch costs beside its rows (round trips, a flush, a plan, a publish) is paid once for all of them. Under load
each lane would begin its next batch with the two or three items that came meanwhile, and the lanes together would
fill the machine with such costs. So after a batch of several the next one is given time to fill; after a batch of one
it is not, for then nobody is in a hurry.
"""

import asyncio


class Pace:
    """`turn` before each batch, `took` after its items are known."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._began_at = 0.0
        self._is_busy = False

    async def turn(self) -> None:
        """Return when the next batch may begin: at once, or up to `interval_s` after the last one began."""
        loop = asyncio.get_running_loop()
        if self._is_busy and (left_s := self._began_at + self._interval_s - loop.time()) > 0:
            await asyncio.sleep(left_s)
        self._began_at = loop.time()

    def took(self, items: int) -> None:
        self._is_busy = items > 1
