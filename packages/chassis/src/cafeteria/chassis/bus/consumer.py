"""Reads a durable without a pause: each message joins a group commit and is acknowledged after that commit.

nats-py's `fetch` stalls up to its time-out when fewer messages are there than were asked for, so the pull
protocol is spoken directly: one standing request for many messages, renewed while they flow. Nothing is
acknowledged after the unforeseen: the server delivers such a message again.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec
import nats.errors
from nats.aio.msg import Msg

from cafeteria.chassis import metrics
from cafeteria.chassis.bus.client import stream_sequence
from cafeteria.chassis.bus.codec import decoder_for
from cafeteria.chassis.bus.connection import Bus
from cafeteria.chassis.bus.pull_requests import SILENCE_S, PullRequests
from cafeteria.chassis.dead_letters import DeadLetters
from cafeteria.chassis.errors import Unavailable
from cafeteria.chassis.group_commit import GroupCommit
from cafeteria.chassis.logs import get_logger
from cafeteria.contracts.wire import HEADER_MESSAGE_ID, HEADER_TRACEPARENT, Durable, Topic

Body = TypeVar("Body", bound=msgspec.Struct)

WINDOW = 512  # messages asked for or in a commit; past it the server keeps them
RENEW_BELOW = WINDOW // 2
WATCH_S = 0.25
RETRY_DELAY_S = 1.0  # before a message whose commit failed is delivered again

HANDLED = metrics.counter(
    "cafeteria_messages_handled_total", "Messages of a durable, by what became of them", "durable", "outcome"
)

logger = get_logger()


class Delivery(msgspec.Struct, Generic[Body], frozen=True):
    """One message as it came; `sequence` is its place in the stream."""

    body: Body
    sequence: int
    message_id: str | None
    traceparent: str | None


class Consumer(Generic[Body]):
    """Runs while its block is open; leaving it takes no more messages and settles those it has."""

    def __init__(
        self,
        bus: Bus,
        durable: Durable,
        topic: Topic[Body],
        group: GroupCommit[Delivery[Body], None],
        dead_letters: DeadLetters,
    ) -> None:
        self._bus = bus
        self._durable = durable
        self._group = group
        self._dead_letters = dead_letters
        self._decode = decoder_for(topic.body).decode
        self._requests = PullRequests(
            bus.client,
            durable.stream,
            durable.name,
            on_message=self._on_message,
            on_end=self._on_end,
        )
        self._changed = asyncio.Event()
        self._unsettled: set[asyncio.Future[None]] = set()
        self._acks: list[tuple[str, bytes]] = []
        self._to_say = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._poison: set[asyncio.Task[None]] = set()
        self._handled = {
            outcome: HANDLED.labels(durable.name, outcome) for outcome in ("committed", "retried", "poison")
        }

    async def __aenter__(self) -> Self:
        self._bus.on_reconnect(self._on_reconnect)
        self._tasks = [asyncio.create_task(self._pull()), asyncio.create_task(self._say_acks())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks[0].cancel()
        if self._bus.is_connected:
            with suppress(nats.errors.Error):
                await self._requests.close()
        outstanding = [*self._unsettled, *self._poison]
        if outstanding:
            await asyncio.wait(outstanding)
        await self._flush_acks()
        self._tasks[1].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pull(self) -> None:
        """Keep a request open; ask again after silence, for the server or the consumer may be new."""
        await self._bus.connected()
        while True:
            self._changed.clear()
            if wanted := self._wanted():
                with suppress(nats.errors.Error):  # the next look is soon
                    await self._requests.ask(wanted)
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._changed.wait()

    def _wanted(self) -> int:
        if self._requests.owed and monotonic() - self._requests.heard_at > SILENCE_S:
            self._requests.forget()
        owed = self._requests.owed
        room = WINDOW - owed - len(self._unsettled)
        return room if owed <= RENEW_BELOW and room >= RENEW_BELOW else 0

    def _on_end(self, _headers: Mapping[str, str]) -> None:
        """It has expired, or its consumer is gone and may come back: ask again at the next look."""

    def _on_reconnect(self) -> None:
        """The server knows of no request any more."""
        self._requests.forget()
        self._changed.set()

    def _on_message(self, message: Msg) -> None:
        headers = message.headers or {}
        if self._requests.owed == RENEW_BELOW:
            self._changed.set()
        try:
            delivery = Delivery(
                self._decode(message.data),
                stream_sequence(message.reply),
                headers.get(HEADER_MESSAGE_ID),
                headers.get(HEADER_TRACEPARENT),
            )
            future = self._group.enqueue(delivery)
        except msgspec.MsgspecError as error:
            self._bury(message, str(error))
        except Unavailable:
            self._later(message.reply, nak(RETRY_DELAY_S))
        else:
            self._unsettled.add(future)
            future.add_done_callback(self._settler(message.reply, delivery))

    def _settler(self, reply: str, delivery: Delivery[Body]) -> Callable[[asyncio.Future[None]], None]:
        started = perf_counter()

        def settle(future: asyncio.Future[None]) -> None:
            self._unsettled.discard(future)
            if self._requests.owed <= RENEW_BELOW:
                self._changed.set()
            error = None if future.cancelled() else future.exception()
            if error is None:
                self._later(reply, b"+ACK")
            else:
                self._later(reply, nak(RETRY_DELAY_S))
            self._log(delivery, error, perf_counter() - started)

        return settle

    def _log(self, delivery: Delivery[Body], error: BaseException | None, seconds: float) -> None:
        self._handled["committed" if error is None else "retried"].inc()
        facts: dict[str, Any] = {
            "durable": self._durable.name,
            "sequence": delivery.sequence,
            "message_id": delivery.message_id,
            "order_id": getattr(delivery.body, "order_id", None),
            "duration_ms": round(seconds * 1000, 2),
        }
        if error is None:
            logger.info("message_handled", **facts)
        elif isinstance(error, Unavailable):
            logger.warning("message_postponed", reason=str(error), **facts)
        else:
            logger.error("message_failed", exc_info=error, **facts)

    def _later(self, reply: str, word: bytes) -> None:
        self._acks.append((reply, word))
        self._to_say.set()

    async def _say_acks(self) -> None:
        while True:
            await self._to_say.wait()
            self._to_say.clear()
            await self._flush_acks()

    async def _flush_acks(self) -> None:
        words, self._acks = self._acks, []
        # What cannot be said the server delivers again, and its commit finds that nothing is left to do.
        with suppress(nats.errors.Error):
            await self._bus.client.publish_all([(reply, word, None) for reply, word in words])

    def _bury(self, message: Msg, error: str) -> None:
        task = asyncio.create_task(self._write_dead_letter(message, error))
        self._poison.add(task)
        task.add_done_callback(self._poison.discard)

    async def _write_dead_letter(self, message: Msg, error: str) -> None:
        metadata = message.metadata
        try:
            await self._dead_letters.add(
                stream=self._durable.stream,
                sequence=metadata.sequence.stream,
                stored_at=metadata.timestamp.astimezone(UTC) if metadata.timestamp else datetime.now(UTC),
                subject=message.subject,
                message_id=(message.headers or {}).get(HEADER_MESSAGE_ID),
                body=message.data,
                error=error,
            )
        except Unavailable:
            self._later(message.reply, nak(RETRY_DELAY_S))
        except Exception:  # it comes again, and is no reason to stop reading
            logger.exception("dead_letter_not_written", durable=self._durable.name)
            self._later(message.reply, nak(RETRY_DELAY_S))
        else:
            self._handled["poison"].inc()
            self._later(message.reply, b"+TERM")


def nak(delay_s: float) -> bytes:
    """Ask for the message again after `delay_s` seconds."""
    return b"-NAK " + msgspec.json.encode({"delay": int(delay_s * 1_000_000_000)})
