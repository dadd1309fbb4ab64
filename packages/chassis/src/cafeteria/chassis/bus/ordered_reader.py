"""Reads a whole stream in its order, by a consumer that this process uses alone: no message passes another.

`take` gets whatever has arrived, one batch at a time; a batch that fails is tried again and never passed. What
has been taken is the caller's to remember: after anything that could hide a message (a gap, a lost consumer, a
wiped store, a restarted server, silence) `begin` is asked again where to go on. While nothing arrives, `rest` is
called about once a second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import msgspec
import nats.errors

from cafeteria.chassis import metrics
from cafeteria.chassis.bus.connection import Bus
from cafeteria.chassis.bus.errors import NoAnswer
from cafeteria.chassis.bus.jetstream_api import Refused, is_behind
from cafeteria.chassis.bus.ordered_consumer import OrderedConsumer, StoredMessage, StreamState
from cafeteria.chassis.logs import get_logger
from cafeteria.contracts.wire import Stream

BATCH_LIMIT = 16  # messages of up to 256 items
STOP_WITHIN_S = 1.0  # a stop has three seconds for everything; a batch cut off is read again by the next life
FIRST_RETRY_S, LONGEST_RETRY_S = 0.05, 0.5

RESTARTS = metrics.counter(
    "cafeteria_reader_restarts_total", "Consumers started for an ordered reader", "stream"
)
FAILURES = metrics.counter(
    "cafeteria_reader_failures_total", "Batches that failed and were tried again", "stream"
)
LAG = metrics.gauge(
    "cafeteria_reader_lag", "Messages stored and not taken yet; -1 while not reading", "stream"
)

logger = get_logger()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Never empty; all of one epoch."""

    epoch: str
    messages: tuple[StoredMessage, ...]

    @property
    def last_sequence(self) -> int:
        return self.messages[-1].sequence


Work = Coroutine[Any, Any, None]
Look = Callable[[], Awaitable[StreamState]]
"""Asks the server about the stream, as it is then."""


class OrderedReader:
    """Runs while its block is open; leaving it lets what has begun come to its end, for a second.

    `begin` is asked before each consumer is started: it looks at the stream once, and returns the sequence to read
    after (0: all there is).
    """

    def __init__(
        self,
        bus: Bus,
        stream: Stream,
        *,
        begin: Callable[[Look], Awaitable[int]],
        take: Callable[[Batch], Work],
        rest: Callable[[], Work] | None = None,
        batch_limit: int = BATCH_LIMIT,
    ) -> None:
        self._bus = bus
        self._stream = stream.name
        self._begin = begin
        self._take = take
        self._rest = rest
        self._batch_limit = batch_limit
        self._consumer: OrderedConsumer | None = None
        self._in_hand = 0
        self._last_stored_at: datetime | None = None
        self._reading: asyncio.Task[None] | None = None
        self._working: asyncio.Task[None] | None = None
        self._restarts = RESTARTS.labels(stream.name)
        self._failures = FAILURES.labels(stream.name)
        LAG.labels(stream.name).set_function(lambda: -1 if self.lag is None else self.lag)

    @property
    def lag(self) -> int | None:
        """Messages that are stored and not taken yet; None while it is not reading, when nobody knows."""
        return None if self._consumer is None else self._consumer.unread + self._in_hand

    async def is_behind(self) -> bool:
        """Whether what is missing here may just not have been read yet; also where nobody can tell."""
        if (consumer := self._consumer) is None or (lag := self.lag) is None:
            return True
        try:
            state = await consumer.stream_state()
        except (nats.errors.Error, TimeoutError, msgspec.MsgspecError, Refused):
            return True
        return is_behind(unread=lag, last_stored_at=self._last_stored_at, server_time=state.server_time)

    async def __aenter__(self) -> Self:
        self._bus.on_reconnect(self._on_reconnect)
        self._reading = asyncio.create_task(self._run(), name=f"reader-{self._stream}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if self._working is not None:
            await asyncio.wait({self._working}, timeout=STOP_WITHIN_S)
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    def _on_reconnect(self) -> None:
        if self._consumer is not None:
            self._consumer.lose("reconnected")

    async def _run(self) -> None:
        """One consumer after another."""
        failures = 0
        while True:
            try:
                await self._read_with_one_consumer()
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream must be read on
                if failures == 0:
                    logger.warning("reader_not_started", stream=self._stream, reason=repr(error))
                failures += 1
            await _pause(failures)

    async def _read_with_one_consumer(self) -> None:
        """Raises when none can be started; returns when it is lost."""
        await self._bus.connected()
        if not self._bus.is_connected:
            raise NoAnswer("the bus")
        async with OrderedConsumer(self._bus, self._stream) as consumer:
            try:
                epoch = await self._start(consumer)
                self._consumer = consumer
                await self._take_all(consumer, epoch)
            finally:
                self._consumer, self._in_hand = None, 0
        logger.warning("reader_lost", stream=self._stream, reason=consumer.lost)

    async def _start(self, consumer: OrderedConsumer) -> str:
        seen: list[StreamState] = []

        async def look() -> StreamState:
            seen.append(await consumer.stream_state())
            return seen[-1]

        after = await self._begin(look)
        state = seen[-1]
        await consumer.start(state, after=after)
        self._restarts.inc()
        logger.info("reader_started", stream=self._stream, after=after, epoch=state.epoch)
        return state.epoch

    async def _take_all(self, consumer: OrderedConsumer, epoch: str) -> None:
        while True:
            messages = await consumer.next_messages(self._batch_limit)
            if messages:
                self._in_hand = len(messages)
                await self._take_until_done(Batch(epoch=epoch, messages=tuple(messages)))
                self._in_hand = 0
                self._last_stored_at = messages[-1].stored_at
            elif consumer.lost is not None:
                return
            elif self._rest is not None:
                await self._rest_once(self._rest)

    async def _rest_once(self, rest: Callable[[], Work]) -> None:
        try:
            await self._finish(rest())
        except Exception as error:  # noqa: BLE001 - the next one comes soon
            self._failures.inc()
            logger.debug("rest_failed", stream=self._stream, reason=repr(error))

    async def _take_until_done(self, batch: Batch) -> None:
        failures = 0
        while True:
            try:
                return await self._finish(self._take(batch))
            except Exception as error:  # noqa: BLE001 - a batch is never passed, whatever has happened to it
                self._failures.inc()
                if failures == 0:
                    logger.warning(
                        "batch_postponed",
                        stream=self._stream,
                        last_sequence=batch.last_sequence,
                        reason=repr(error),
                    )
                failures += 1
                await _pause(failures)

    async def _finish(self, work: Work) -> None:
        """Work that a stop does not cut off at once."""
        self._working = asyncio.create_task(work)
        await asyncio.shield(self._working)
        self._working = None


async def _pause(failures: int) -> None:
    await asyncio.sleep(min(FIRST_RETRY_S * 2 ** min(failures, 10), LONGEST_RETRY_S))


__all__ = ["Batch", "OrderedReader", "StoredMessage", "StreamState"]
