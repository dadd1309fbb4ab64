"""Reads a durable without a pause: each message joins a group commit and is acknowledged after that commit.

nats-py's `fetch` stalls up to its time-out when fewer messages are there than were asked for, so the pull
protocol is spoken directly: one standing request for many messages, renewed while they flow. Nothing is
acknowledged after the unforeseen: the server delivers such a message again.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from cafeteria.chassis import metrics
from cafeteria.chassis.bus.client import stream_sequence
from cafeteria.chassis.bus.codec import decoder_for
from cafeteria.chassis.bus.connection import Bus
from cafeteria.chassis.dead_letters import DeadLetters
from cafeteria.chassis.errors import Unavailable
from cafeteria.chassis.group_commit import GroupCommit
from cafeteria.chassis.logs import get_logger
from cafeteria.contracts.wire import HEADER_MESSAGE_ID, HEADER_TRACEPARENT, Durable, Topic

Body = TypeVar("Body", bound=msgspec.Struct)

WINDOW = 512  # messages asked for or in a commit; past it the server keeps them
RENEW_BELOW = WINDOW // 2
PULL_EXPIRES_S = 30
HEARTBEAT_S = 1  # the server says that a standing request is alive; three missed and it is asked again
SILENCE_S = 3 * HEARTBEAT_S
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
        self._standing = _StandingPull()
        self._unsettled: set[asyncio.Future[None]] = set()
        self._acks: list[tuple[str, bytes]] = []
        self._to_say = asyncio.Event()
        self._inbox: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._poison: set[asyncio.Task[None]] = set()
        self._handled = {
            outcome: HANDLED.labels(durable.name, outcome) for outcome in ("committed", "retried", "poison")
        }

    async def __aenter__(self) -> Self:
        self._bus.on_reconnect(self._standing.forget)
        self._tasks = [asyncio.create_task(self._pull()), asyncio.create_task(self._say_acks())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks[0].cancel()
        if self._inbox is not None and self._bus.is_connected:
            await self._inbox.unsubscribe()
        outstanding = [*self._unsettled, *self._poison]
        if outstanding:
            await asyncio.wait(outstanding)
        await self._flush_acks()
        self._tasks[1].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pull(self) -> None:
        """Keep a request standing; ask again after silence, for the server or the consumer may be new."""
        await self._bus.connected()
        inbox = await self._listen()
        while True:
            self._standing.changed.clear()
            wanted = self._standing.wanted(unsettled=len(self._unsettled))
            if wanted:
                await self._ask_for(wanted, inbox)
            await self._standing.wait_for_change(WATCH_S)

    async def _listen(self) -> str:
        """Each try under a name of its own: one that seems to have failed may still be heard."""
        while True:
            inbox = self._bus.inbox()
            try:
                self._inbox = await self._bus.client.take(inbox, self._on_message)
            except nats.errors.Error:
                await asyncio.sleep(WATCH_S)
            else:
                return inbox

    async def _ask_for(self, wanted: int, inbox: str) -> None:
        request = {
            "batch": wanted,
            "expires": PULL_EXPIRES_S * 1_000_000_000,
            "idle_heartbeat": HEARTBEAT_S * 1_000_000_000,
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._durable.stream}.{self._durable.name}"
        try:
            await self._bus.client.publish(subject, msgspec.json.encode(request), reply=inbox)
        except nats.errors.Error:
            return
        self._standing.asked(wanted)

    def _on_message(self, message: Msg) -> None:
        headers = message.headers or {}
        if not message.reply.startswith("$JS.ACK."):
            self._standing.heard_status(headers)
            return
        self._standing.received()
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
            self._standing.settled()
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
        else:
            self._handled["poison"].inc()
            self._later(message.reply, b"+TERM")


def nak(delay_s: float) -> bytes:
    """Ask for the message again after `delay_s` seconds."""
    return b"-NAK " + msgspec.json.encode({"delay": int(delay_s * 1_000_000_000)})


class _StandingPull:
    """How many messages the server still owes, and whether it is alive."""

    def __init__(self) -> None:
        self._owed = 0
        self._heard_at = 0.0
        self.changed = asyncio.Event()

    def asked(self, wanted: int) -> None:
        self._owed += wanted
        self._heard_at = monotonic()

    def received(self) -> None:
        self._owed = max(0, self._owed - 1)
        self._heard_at = monotonic()
        if self._owed == RENEW_BELOW:
            self.changed.set()

    def settled(self) -> None:
        if self._owed <= RENEW_BELOW:
            self.changed.set()

    def heard_status(self, headers: dict[str, str]) -> None:
        """A heartbeat (100) renews trust; any other status ends a request, so ask anew at the next look."""
        self._heard_at = monotonic()
        if headers.get("Status") != "100":
            self._owed = 0

    def forget(self) -> None:
        """The server knows of no request after a reconnect."""
        self._owed = 0
        self.changed.set()

    def wanted(self, *, unsettled: int) -> int:
        if self._owed and monotonic() - self._heard_at > SILENCE_S:
            self._owed = 0
        room = WINDOW - self._owed - unsettled
        return room if self._owed <= RENEW_BELOW and room >= RENEW_BELOW else 0

    async def wait_for_change(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        except TimeoutError:
            pass
