"""Reads a whole stream in order, with a consumer for the exclusive use of this process.

`on_batch` gets the arrived messages, one batch at a time; a failed batch is retried and never skipped. The caller
stores its position: after anything that could hide a message (a gap, a lost consumer, a wiped store, a restarted
server, silence) the reader calls `start_position` again. Without messages it calls `on_idle` about once a second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self

import msgspec

from cafeteria.chassis.messaging.bus import Bus
from cafeteria.chassis.messaging.errors import NoAnswer
from cafeteria.chassis.messaging.lag import StreamLag
from cafeteria.chassis.messaging.ordered_consumer import OrderedConsumer, StoredMessage, StreamState
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.contracts.channels import Stream

BATCH_LIMIT = 16  # messages of up to 256 items
STOP_WITHIN_S = 1.0  # a stop has three seconds in all; the next process reads a cancelled batch again
FIRST_RETRY_S, LONGEST_RETRY_S = 0.05, 0.5

RESTARTS = metrics.counter(
    "cafeteria_reader_restarts_total", "Consumers started for an ordered reader", "stream"
)
FAILURES = metrics.counter("cafeteria_reader_failures_total", "Failed batches, which are retried", "stream")

logger = get_logger()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one epoch, at least one."""

    epoch: str
    messages: tuple[StoredMessage, ...]

    @property
    def last_sequence(self) -> int:
        return self.messages[-1].sequence


Work = Coroutine[Any, Any, None]
ReadState = Callable[[], Awaitable[StreamState]]
"""Requests the current state of the stream from the server."""


class OrderedReader:
    """Reads while its block is open; leaving it waits up to a second for the batch in progress.

    The reader calls `start_position` before it starts a consumer. The call requests the stream's state once, and
    returns the sequence to read after (0: the whole stream). The reader keeps `lag` up to date.
    """

    def __init__(
        self,
        bus: Bus,
        stream: Stream,
        *,
        lag: StreamLag,
        start_position: Callable[[ReadState], Awaitable[int]],
        on_batch: Callable[[Batch], Work],
        on_idle: Callable[[], Work] | None = None,
        batch_limit: int = BATCH_LIMIT,
    ) -> None:
        self._bus = bus
        self._stream = stream.name
        self._lag = lag
        self._start_position = start_position
        self._on_batch = on_batch
        self._on_idle = on_idle
        self._batch_limit = batch_limit
        self._consumer: OrderedConsumer | None = None
        self._reading: asyncio.Task[None] | None = None
        self._working: asyncio.Task[None] | None = None
        self._restarts = RESTARTS.labels(stream.name)
        self._failures = FAILURES.labels(stream.name)

    async def __aenter__(self) -> Self:
        self._bus.on_reconnect(self._on_reconnect)
        self._reading = asyncio.create_task(self._run(), name=f"reader-{self._stream}")
        return self

    async def __aexit__(self, *_: object) -> None:
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
        """Read with one consumer after another."""
        failures = 0
        while True:
            try:
                await self._read_with_one_consumer()
                failures = 0
            except Exception as error:  # noqa: BLE001 - after any error the reader continues
                if failures == 0:
                    logger.warning("reader_not_started", stream=self._stream, reason=repr(error))
                failures += 1
            await _pause(failures)

    async def _read_with_one_consumer(self) -> None:
        """Read until the consumer is lost. Raises if it cannot be started."""
        await self._bus.connected()
        if not self._bus.is_connected:
            raise NoAnswer("the bus")
        async with OrderedConsumer(self._bus, self._stream) as consumer:
            try:
                epoch = await self._start(consumer)
                self._consumer = consumer
                self._lag.started(lambda: consumer.unread)
                await self._handle_all(consumer, epoch)
            finally:
                self._consumer = None
                self._lag.stopped()
        logger.warning("reader_lost", stream=self._stream, reason=consumer.lost)

    async def _start(self, consumer: OrderedConsumer) -> str:
        seen: list[StreamState] = []

        async def read_state() -> StreamState:
            seen.append(await consumer.stream_state())
            return seen[-1]

        after = await self._start_position(read_state)
        state = seen[-1]
        await consumer.start(state, after=after)
        self._restarts.inc()
        logger.info("reader_started", stream=self._stream, after=after, epoch=state.epoch)
        return state.epoch

    async def _handle_all(self, consumer: OrderedConsumer, epoch: str) -> None:
        while True:
            messages = await consumer.next_messages(self._batch_limit)
            if messages:
                self._lag.received(len(messages))
                await self._handle_until_done(Batch(epoch=epoch, messages=tuple(messages)))
                self._lag.handled(messages[-1].stored_at)
            elif consumer.lost is not None:
                return
            elif self._on_idle is not None:
                await self._call_idle(self._on_idle)

    async def _call_idle(self, on_idle: Callable[[], Work]) -> None:
        try:
            await self._finish(on_idle())
        except Exception as error:  # noqa: BLE001 - the next call follows in a second
            self._failures.inc()
            logger.debug("idle_work_failed", stream=self._stream, reason=repr(error))

    async def _handle_until_done(self, batch: Batch) -> None:
        failures = 0
        while True:
            try:
                return await self._finish(self._on_batch(batch))
            except Exception as error:  # noqa: BLE001 - a batch is never skipped, after any error
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
        """Run work that a stop does not cancel at once."""
        self._working = asyncio.create_task(work)
        await asyncio.shield(self._working)
        self._working = None


async def _pause(failures: int) -> None:
    await asyncio.sleep(min(FIRST_RETRY_S * 2 ** min(failures, 10), LONGEST_RETRY_S))


__all__ = ["Batch", "OrderedReader", "StoredMessage", "StreamState"]
