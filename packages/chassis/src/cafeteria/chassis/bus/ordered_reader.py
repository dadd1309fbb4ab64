"""Reads a whole stream in its order, by a consumer that this process uses alone: no message passes another.

`take` gets whatever has arrived, one batch at a time; a batch that fails is tried again and never passed. What
has been taken is the caller's to remember: after anything that could hide a message (a gap, a lost consumer, a
wiped store, a restarted server, silence) `begin` is asked anew where to go on. While nothing arrives, `rest` is
called now and then.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from cafeteria.chassis import metrics
from cafeteria.chassis.bus.connection import Bus
from cafeteria.chassis.bus.ephemeral import OrderedConsumer, StoredMessage, StreamState
from cafeteria.chassis.bus.errors import NoAnswer
from cafeteria.chassis.logs import get_logger
from cafeteria.contracts.wire import Stream

BATCH_LIMIT = 512  # messages; longer batches no longer make a message cheaper
QUIET_S = 1.0  # without a message, before each `rest`
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


Look = Callable[[], Awaitable[StreamState]]
"""Asks the server about the stream, as it is then."""


class OrderedReader:
    """Runs while its block is open; leaving it lets a batch that has begun come to its end, for a second.

    `begin` is asked before each consumer is started: it looks at the stream once, and returns the sequence to read
    after (0: all there is).
    """

    def __init__(
        self,
        bus: Bus,
        stream: Stream,
        *,
        begin: Callable[[Look], Awaitable[int]],
        take: Callable[[Batch], Awaitable[None]],
        rest: Callable[[], Awaitable[None]] | None = None,
        batch_limit: int = BATCH_LIMIT,
    ) -> None:
        self._bus = bus
        self._stream = stream.name
        self._begin = begin
        self._take = take
        self._rest = rest
        self._batch_limit = batch_limit
        self._consumer: OrderedConsumer | None = None
        self._is_reading = False
        self._in_hand = 0
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._restarts = RESTARTS.labels(stream.name)
        self._failures = FAILURES.labels(stream.name)
        LAG.labels(stream.name).set_function(lambda: -1 if self.lag is None else self.lag)

    @property
    def lag(self) -> int | None:
        """Messages that are stored and not taken yet; None while it is not reading, when nobody knows."""
        if self._consumer is None or not self._is_reading:
            return None
        return self._consumer.behind + self._in_hand

    async def __aenter__(self) -> Self:
        self._bus.on_reconnect(self._on_reconnect)
        self._task = asyncio.create_task(self._run(), name=f"reader-{self._stream}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._interrupt("closing")
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_WITHIN_S)
            self._task.cancel()
            await asyncio.wait({self._task})

    def _on_reconnect(self) -> None:
        self._interrupt("reconnected")

    def _interrupt(self, reason: str) -> None:
        if self._consumer is not None:
            self._consumer.lose(reason)

    async def _run(self) -> None:
        """One consumer after another."""
        failures = 0
        while not self._closing.is_set():
            try:
                await self._read_with_one_consumer()
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream must be read on
                if failures == 0:
                    logger.warning("reader_not_started", stream=self._stream, reason=repr(error))
                failures += 1
                await self._pause(failures)

    async def _read_with_one_consumer(self) -> None:
        """Raises when none can be started; returns when it is lost."""
        await self._connected()
        if self._closing.is_set():
            return
        if not self._bus.is_connected:
            raise NoAnswer("the bus")
        async with OrderedConsumer(self._bus, self._stream) as consumer:
            self._consumer = consumer
            try:
                state = await self._start(consumer)
                await self._take_all(consumer, state.epoch)
            finally:
                self._consumer, self._is_reading = None, False
        if not self._closing.is_set():
            logger.warning("reader_lost", stream=self._stream, reason=consumer.lost)
            await self._pause(0)

    async def _start(self, consumer: OrderedConsumer) -> StreamState:
        seen: list[StreamState] = []

        async def look() -> StreamState:
            seen.append(await consumer.stream_state())
            return seen[-1]

        after = await self._begin(look)
        state = seen[-1]
        await consumer.start(state, after=after)
        self._is_reading = True
        self._restarts.inc()
        logger.info("reader_started", stream=self._stream, after=after, epoch=state.epoch)
        return state

    async def _connected(self) -> None:
        waiting = [asyncio.ensure_future(self._bus.connected()), asyncio.ensure_future(self._closing.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()

    async def _take_all(self, consumer: OrderedConsumer, epoch: str) -> None:
        while consumer.lost is None:
            messages = await consumer.next_messages(self._batch_limit, within_s=QUIET_S)
            if not messages:
                await self._rest_once()
                continue
            self._in_hand = len(messages)
            await self._take_until_done(Batch(epoch=epoch, messages=tuple(messages)))
            self._in_hand = 0

    async def _rest_once(self) -> None:
        if self._rest is None or self._closing.is_set():
            return
        try:
            await self._rest()
        except Exception as error:  # noqa: BLE001 - the next one comes soon
            self._failures.inc()
            logger.debug("rest_failed", stream=self._stream, reason=repr(error))

    async def _take_until_done(self, batch: Batch) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                await self._take(batch)
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
                await self._pause(failures)
            else:
                return

    async def _pause(self, failures: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(FIRST_RETRY_S * 2 ** min(failures, 10), LONGEST_RETRY_S)):
                await self._closing.wait()


__all__ = ["Batch", "OrderedReader", "StoredMessage", "StreamState"]
