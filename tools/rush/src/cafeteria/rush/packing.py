"""Counts the items in the streams' messages during a rush, and second tries that packed other rows.

Faults purge and lose streams, so each message is read soon after it is stored. Messages that faults store have other
ids than a relay's and are not counted.
"""

import asyncio
import re
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import msgspec
import nats.errors

from cafeteria.chassis.messaging.jetstream_api import Refused
from cafeteria.contracts.subjects import STREAMS
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.faultkit.stored_messages import DECODERS, StoredMessage, read

POLL_S = 0.5
BOUNDS = (1, 2, 4, 8, 16, 32, 49, 64, 128, 256)
"""Upper ends of the histogram's bars, in items."""
MANY = 50
MANY_AT_LEAST = 100
"""A whole rush needs this many messages with MANY items or more, or it has hardly tested batches."""
REMEMBERED_MESSAGES = 10_000
"""How many of the newest messages are remembered: a second try comes within seconds."""

_RELAY_ID = re.compile(r"[0-9a-f]{64}")


class _Item(msgspec.Struct, frozen=True):
    order_id: str
    version: int


_ITEMS = msgspec.json.Decoder(dict[str, list[_Item]])


class Packing(msgspec.Struct, kw_only=True):
    """`sizes` counts messages by their number of items; `repacked` those that a second try packed with more rows."""

    sizes: Counter[int] = msgspec.field(default_factory=Counter)
    repacked: int = 0

    @property
    def messages(self) -> int:
        return self.sizes.total()

    @property
    def items(self) -> int:
        return sum(size * count for size, count in self.sizes.items())

    @property
    def largest(self) -> int:
        return max(self.sizes, default=0)

    @property
    def with_many(self) -> int:
        return sum(count for size, count in self.sizes.items() if size >= MANY)

    def histogram(self) -> Iterator[tuple[str, int]]:
        """Yield the bars from the smallest messages to the largest: the range of sizes, and the count."""
        lower = 1
        for upper in BOUNDS:
            count = sum(self.sizes[size] for size in range(lower, upper + 1))
            yield (f"{lower}" if lower == upper else f"{lower}-{upper}"), count
            lower = upper + 1

    def shortfalls(self) -> Iterator[str]:
        """Yield a sentence for each kind of packing that a whole rush should have tested and did not."""
        if self.with_many < MANY_AT_LEAST:
            yield f"only {self.with_many} messages held {MANY} items or more, not {MANY_AT_LEAST}"
        if not self.repacked:
            yield "no message was packed otherwise at its second try"


class PackingWatch:
    """Reads every message of both streams once, soon after it is stored, while its block is open."""

    def __init__(self, bus: BusAdmin) -> None:
        self.packing = Packing()
        self._bus = bus
        self._read_up_to = {stream.name: ("", 0) for stream in STREAMS}
        """By stream: when it was created, and the last sequence that was read."""
        self._first_tries: OrderedDict[tuple[str, _Item], tuple[int, list[_Item]]] = OrderedDict()
        """Sequence and items of the newest messages, by their subjects and first items."""
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        await self.look()

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Read all new messages; those that cannot be read now are read the next time."""
        with suppress(nats.errors.Error, Refused, TimeoutError):
            for stream in STREAMS:
                await self._look_into(stream.name)

    async def _look_into(self, stream: str) -> None:
        info = await self._bus.ask(f"STREAM.INFO.{stream}")
        first, last = info["state"]["first_seq"], info["state"]["last_seq"]
        created, last_read = self._read_up_to[stream]
        if created != info["created"] or last < last_read:
            last_read = 0
            self._first_tries.clear()
        for sequence in range(max(last_read + 1, first), last + 1):
            message = await read(self._bus, stream, sequence)
            if message is not None:
                self.count(message, kept_from=first)
            self._read_up_to[stream] = (info["created"], sequence)

    def count(self, message: StoredMessage, *, kept_from: int) -> None:
        """Count a relay's message; skip others and those without items. The stream begins at sequence `kept_from`."""
        if _RELAY_ID.fullmatch(message.id) is None or message.subject not in DECODERS:
            return
        try:
            [items] = _ITEMS.decode(message.body).values()
        except (msgspec.MsgspecError, ValueError):
            return
        if items:
            self.packing.sizes[len(items)] += 1
            self.packing.repacked += self._has_more_than_before(message, items, kept_from=kept_from)

    def _has_more_than_before(self, message: StoredMessage, items: list[_Item], *, kept_from: int) -> bool:
        """Return whether an earlier message, still stored, held only the first of these items: its publish was not
        acknowledged and the second try had more rows. Items lost from a stream are sent again for another reason.
        """
        key = (message.subject, items[0])
        sequence, before = self._first_tries.pop(key, (0, items))
        self._first_tries[key] = (message.sequence, items)
        if len(self._first_tries) > REMEMBERED_MESSAGES:
            self._first_tries.popitem(last=False)
        return sequence >= kept_from and len(before) < len(items) and before == items[: len(before)]
