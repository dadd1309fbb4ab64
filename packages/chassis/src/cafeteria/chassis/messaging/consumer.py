"""Consumes a durable: items are committed in groups, and a message is acknowledged after the last commit of its items.

Items are idempotent: if one fails, its whole message is redelivered. An unreadable message or item, or an item that
repeatedly fails alone, becomes a dead letter before the acknowledgement. An unexpected error acknowledges nothing.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any, Generic, Self, TypeVar

import msgspec
import nats.errors
from nats.aio.msg import Msg

from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging.bus import Bus
from cafeteria.chassis.messaging.dead_letters import WHOLE_MESSAGE, DeadLetter, DeadLetters
from cafeteria.chassis.messaging.items import UnreadableItem, items_decoder_for
from cafeteria.chassis.messaging.lag import ConsumerLag
from cafeteria.chassis.messaging.pull_requests import PullRequests
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.channels import ACK_WAIT_S, HEADER_MESSAGE_ID, Durable, Topic

Item = TypeVar("Item")

RETRY_DELAY_S = 1.0  # before a message with a failed commit is delivered again
PROGRESS_EVERY_S = ACK_WAIT_S / 2
MOST_FAILURES = 10  # of an item that is committed alone; then it is a dead letter
REMEMBERED_FAILURES = 4096  # items; messages that another replica acknowledges would stay for ever
AGAIN = b"-NAK " + msgspec.json.encode({"delay": int(RETRY_DELAY_S * 1_000_000_000)})

HANDLED = metrics.counter(
    "cafeteria_messages_handled_total", "Messages of a durable by outcome", "durable", "outcome"
)
ITEMS = metrics.histogram(
    "cafeteria_message_items",
    "Items in one message of a durable",
    "durable",
    buckets=metrics.BATCH_ITEMS_BUCKETS,
)
OUTCOMES = {b"+ACK": "committed", b"+TERM": "poison", AGAIN: "retried"}

logger = get_logger()


class Consumer(Generic[Item]):
    """Consumes while its block is open; leaving it stops the pull and finishes the messages in progress.

    The queue limit of `group` must be above the pull window: PULL_MESSAGES times MAX_ITEMS.
    """

    def __init__(
        self,
        bus: Bus,
        durable: Durable,
        topic: Topic[Any],
        group: GroupCommit[Item, None],
        dead_letters: DeadLetters,
        *,
        lag: ConsumerLag,
    ) -> None:
        self._bus = bus
        self._durable = durable
        self._group = group
        self._dead_letters = dead_letters
        self._items = items_decoder_for(topic.body)
        self._requests = PullRequests(
            bus.client, durable.stream, durable.name, on_message=self._begin, on_failure=self._ignore_end
        )
        self._unsettled: dict[asyncio.Task[None], Msg] = {}
        self._failures: dict[tuple[int, int], int] = {}
        self._lag = lag
        self._tasks: list[asyncio.Task[None]] = []
        self._handled = {
            response: HANDLED.labels(durable.name, outcome) for response, outcome in OUTCOMES.items()
        }
        self._message_items = ITEMS.labels(durable.name)

    async def __aenter__(self) -> Self:
        self._bus.on_reconnect(self._requests.reset)
        self._tasks = [asyncio.create_task(self._pull()), asyncio.create_task(self._report_progress())]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._tasks[0].cancel()
        await self._requests.close()
        if self._unsettled:
            await asyncio.wait(self._unsettled)
        self._tasks[1].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pull(self) -> None:
        await self._bus.connected()
        await self._requests.run()

    async def _report_progress(self) -> None:
        """Extend the ack wait of messages in progress, else the server would redeliver them to another replica."""
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            for message in list(self._unsettled.values()):
                await self._respond(message, b"+WPI")

    @staticmethod
    def _ignore_end(_reason: str) -> None:
        """The next pull request follows anyway: the server or the consumer may be new."""

    def _begin(self, message: Msg) -> None:
        task = asyncio.create_task(self._handle(message))
        self._unsettled[task] = message
        task.add_done_callback(partial(self._finish, message))

    def _finish(self, message: Msg, task: asyncio.Task[None]) -> None:
        del self._unsettled[task]
        self._requests.release(message.data)

    async def _handle(self, message: Msg) -> None:
        started = perf_counter()
        response, items, error = AGAIN, None, None
        try:
            response, items = await self._settle(message)
        except Exception as raised:  # noqa: BLE001 - after any error the message is redelivered
            error = raised
        await self._respond(message, response)
        self._log(message, response, items=items, error=error, seconds=perf_counter() - started)

    async def _settle(self, message: Msg) -> tuple[bytes, int]:
        """Return the response to the server and the number of items. Raises if the message must be redelivered."""
        sequence = message.metadata.sequence.stream
        try:
            items: list[Any] = self._items.decode(message.data)
        except msgspec.MsgspecError as error:
            await self._store_dead_letters(message, {WHOLE_MESSAGE: str(error)})
            return b"+TERM", 0
        unreadable = {at: item.error for at, item in enumerate(items) if isinstance(item, UnreadableItem)}
        failures = await self._commit({at: item for at, item in enumerate(items) if at not in unreadable})
        exhausted = self._count_failures(sequence, failures)
        if failures.keys() != exhausted.keys():
            raise _most_specific([error for at, error in failures.items() if at not in exhausted])
        if unreadable or exhausted:
            await self._store_dead_letters(message, unreadable | exhausted)
        self._forget_failures(sequence)
        self._lag.handled(message.metadata.timestamp)
        return b"+ACK", len(items)

    async def _commit(self, items: Mapping[int, Item]) -> dict[int, Exception]:
        """Enqueue all items, then wait. Returns the errors of those that were not committed."""
        futures: dict[int, asyncio.Future[None]] = {}
        failures: dict[int, Exception] = {}
        for at, item in items.items():
            try:
                futures[at] = self._group.enqueue(item)
            except Unavailable as error:
                failures[at] = error
        outcomes = await asyncio.gather(*futures.values(), return_exceptions=True)
        pairs = zip(futures, outcomes, strict=True)
        return failures | {at: outcome for at, outcome in pairs if isinstance(outcome, Exception)}

    def _count_failures(self, sequence: int, failures: Mapping[int, Exception]) -> dict[int, str]:
        """Count the failures. Returns the items that reached MOST_FAILURES, with their errors."""
        exhausted = {}
        for at, error in failures.items():
            if not isinstance(error, Unavailable):
                count = self._failures[sequence, at] = self._failures.pop((sequence, at), 0) + 1
                if count >= MOST_FAILURES:
                    exhausted[at] = repr(error)
        while len(self._failures) > REMEMBERED_FAILURES:
            del self._failures[next(iter(self._failures))]
        return exhausted

    def _forget_failures(self, sequence: int) -> None:
        for key in [key for key in self._failures if key[0] == sequence]:
            del self._failures[key]

    async def _store_dead_letters(self, message: Msg, errors: Mapping[int, str]) -> None:
        """Store items of the message as dead letters. Raises DatabaseUnavailable."""
        bodies = {WHOLE_MESSAGE: message.data}
        if WHOLE_MESSAGE not in errors:
            bodies = dict(enumerate(self._items.split(message.data)))
        letters = [
            DeadLetter(
                stream=self._durable.stream,
                sequence=message.metadata.sequence.stream,
                stored_at=message.metadata.timestamp,
                item=at,
                subject=message.subject,
                message_id=(message.headers or {}).get(HEADER_MESSAGE_ID),
                body=bodies[at],
                error=error,
            )
            for at, error in errors.items()
        ]
        await self._dead_letters.add(letters)

    async def _respond(self, message: Msg, response: bytes) -> None:
        """Send a response. If that fails, the message is redelivered, and its commit changes nothing."""
        with suppress(nats.errors.Error):
            await self._bus.client.publish(message.reply, response)

    def _log(
        self, message: Msg, response: bytes, *, items: int | None, error: Exception | None, seconds: float
    ) -> None:
        self._handled[response].inc()
        if items is not None:
            self._message_items.observe(items)
        facts: dict[str, Any] = {
            "durable": self._durable.name,
            "sequence": message.metadata.sequence.stream,
            "message_id": (message.headers or {}).get(HEADER_MESSAGE_ID),
            "items": items,
            "duration_ms": round(seconds * 1000, 2),
        }
        if error is None:
            logger.info("message_handled", **facts)
        elif isinstance(error, Unavailable):
            logger.warning("message_postponed", reason=str(error), **facts)
        else:
            logger.error("message_failed", exc_info=error, **facts)


def _most_specific(errors: list[Exception]) -> Exception:
    """Return the first unexpected error, or the first error: Unavailable is the least specific."""
    return next((error for error in errors if not isinstance(error, Unavailable)), errors[0])
