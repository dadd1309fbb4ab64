"""Tell all streams that asked for it what menu and kitchen are like, within a fixed number of writes a second.

A stream is written to only while nothing waits for it, and gets what it lacks at that moment: the menu since the revision
that it has shown, and a pulse when its last one is old. So nothing is queued, and a slow client only misses what is past.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Protocol

import msgspec

from cafeteria.chassis.runtime.clock import now
from cafeteria.notification.canteen import Canteen

WRITES_PER_S = 2_000
PULSE_EVERY_S = 1.0
COALESCE_S = 0.15  # a busy item changes many times in this time, and is told once
TURN_S = 0.05
_WINDOW_S = 1.0

_encode = msgspec.json.Encoder().encode


class Reader(Protocol):
    """A stream that shows the canteen."""

    def offer_canteen(self, block: bytes) -> bool:
        """Write the block if nothing waits; return whether it was written."""


class _Shown(msgspec.Struct, kw_only=True):
    """What a stream has shown: the menu's revision, and when its next pulse is due."""

    revision: int = 0
    pulse_due_s: float = 0.0


class CanteenBroadcast:
    """The streams with the canteen. Times are seconds of a monotonic clock; `wake` starts the first turn."""

    def __init__(self, canteen: Canteen, *, clock: Callable[[], datetime] = now) -> None:
        self._canteen = canteen
        self._clock = clock
        self.wake = asyncio.Event()
        self._readers: OrderedDict[Reader, _Shown] = OrderedDict()  # the pulse due longest stands first
        self._behind: dict[Reader, _Shown] = {}  # those that lack the newest menu
        self._written: deque[tuple[float, int]] = deque()
        self._menu_due_s = 0.0
        self._menus: dict[int, bytes] = {}

    def add(self, reader: Reader) -> None:
        """Show the canteen on this stream too: at the next turn it gets the whole menu and a pulse."""
        self._readers[reader] = self._behind[reader] = _Shown()
        self._readers.move_to_end(reader, last=False)
        self.wake.set()

    def remove(self, reader: Reader) -> None:
        """Remove a stream, if it is there."""
        self._readers.pop(reader, None)
        self._behind.pop(reader, None)

    @property
    def next_s(self) -> float:
        """The seconds between two pulses of a stream: one, and longer where so many pulses would be too many writes."""
        return max(PULSE_EVERY_S, len(self._readers) / WRITES_PER_S)

    async def run(self) -> float | None:
        """Take one turn; return the seconds until the next, None while no stream shows the canteen."""
        if not self._readers:
            return None
        self.turn(asyncio.get_running_loop().time())
        return TURN_S

    def turn(self, at_s: float) -> int:
        """Write what is due to the streams that lack it, menu before pulses; return how many writes that was."""
        self._update_menu(at_s)
        budget = self._budget(at_s)
        pulse = _block(b"canteen.pulse", self._canteen.pulse(at=self._clock(), at_s=at_s, next_s=self.next_s))
        written = 0
        behind = tuple(islice(self._behind.items(), budget))
        for reader, shown in chain(behind, self._due(at_s)):
            if written == budget:
                break
            written += self._write(reader, shown, at_s, pulse)
        if written:
            self._written.append((at_s, written))
        return written

    def _update_menu(self, at_s: float) -> None:
        if at_s >= self._menu_due_s and self._canteen.update_menu(at_s=at_s):
            self._menu_due_s = at_s + COALESCE_S
            self._menus.clear()
            self._behind = dict(self._readers)

    def _due(self, at_s: float) -> Iterator[tuple[Reader, _Shown]]:
        """Yield the first stream as long as it is due a pulse; a stream that was tried goes to the end."""
        while self._readers:
            reader, shown = next(iter(self._readers.items()))
            if shown.pulse_due_s > at_s:
                return
            yield reader, shown

    def _write(self, reader: Reader, shown: _Shown, at_s: float, pulse: bytes) -> bool:
        lacks_menu, is_due = shown.revision < self._canteen.revision, shown.pulse_due_s <= at_s
        menu = self._menu_since(shown.revision) if lacks_menu else b""
        is_written = (lacks_menu or is_due) and reader.offer_canteen(menu + pulse if is_due else menu)
        if is_written:
            shown.revision = self._canteen.revision
            self._behind.pop(reader, None)
        if is_due and reader in self._readers:
            shown.pulse_due_s = at_s + self.next_s
            self._readers.move_to_end(reader)
        return is_written

    def _menu_since(self, revision: int) -> bytes:
        """Encode once for all streams that have shown the same revision."""
        if revision not in self._menus:
            self._menus[revision] = _block(b"menu.changed", self._canteen.menu_since(revision))
        return self._menus[revision]

    def _budget(self, at_s: float) -> int:
        while self._written and self._written[0][0] <= at_s - _WINDOW_S:
            self._written.popleft()
        return WRITES_PER_S - sum(count for _, count in self._written)


def _block(event: bytes, data: msgspec.Struct) -> bytes:
    """Return an event without an id: a client's last event id stays that of a status."""
    return b"event: %b\ndata: %b\n\n" % (event, _encode(data))
