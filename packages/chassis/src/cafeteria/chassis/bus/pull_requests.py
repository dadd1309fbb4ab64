"""Keeps one request for messages open at a pull consumer, while what is held leaves room for more.

nats-py's `fetch` stalls up to its time-out when fewer messages are there than were asked for, so the pull protocol is
spoken directly. One request at a time: the server would deal out messages among several, and each inbox is read by a
task of its own, so their order would be lost. A request has an inbox of its own, which is given up with it: the server
keeps a place for the answers to a request for as long as somebody listens on its inbox (decision 16).

Between accounts a message without headers and body ends its request: the server takes it for the last answer, and what
it sends after it is lost until it is delivered again. None of ours is so; once one has come, requests are for one
message each for a while, so that the next costs nothing.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from cafeteria.chassis.bus.nats_client import BusClient

PULL_MESSAGES = 16  # asked for or held; past it the server keeps them
PULL_BYTES = 4 << 20
EXPIRES_S = 30
HEARTBEAT_S = 1  # the server says that an open request is alive
SILENCE_S = 3 * HEARTBEAT_S
WATCH_S = 0.25
SINGLY_FOR_S = 30  # longer than what was lost with one takes to come again
_ALIVE = "100"
_UNFILLED = frozenset({"404", "408"})
_TOO_LARGE = "Message Size Exceeds MaxBytes"  # for what was left of the request
_NANOSECONDS = 1_000_000_000


class PullRequests:
    """Calls `on_message` for each stored message, which is held from then on until it is released.

    Calls `on_trouble` when a request has ended otherwise than filled or expired: the consumer is gone, the server is
    silent, a message was lost. The next request follows all the same.
    """

    def __init__(
        self,
        client: BusClient,
        stream: str,
        consumer: str,
        *,
        on_message: Callable[[Msg], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._client = client
        self._subject = f"{client.api_prefix}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._on_message = on_message
        self._on_trouble = on_trouble
        self._inbox = ""  # of the open request
        self._owed = 0  # messages that it has asked for and that have not come
        self._subscriptions: dict[str, Subscription] = {}
        self._held_messages = self._held_bytes = 0
        self._last_sign_at = 0.0
        self._singly_until = 0.0
        self._changed = asyncio.Event()

    async def keep_asking(self) -> None:
        """Until it is cancelled."""
        while True:
            self._changed.clear()
            await self.ask()
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._changed.wait()

    async def ask(self) -> None:
        """Open a request, unless one is open or there is no room."""
        if self._inbox and monotonic() - self._last_sign_at > SILENCE_S:
            self._end("silence")
        await self._unsubscribe()
        if not self._inbox and self._has_room and self._client.is_connected:
            try:
                await self._open_request()
            except nats.errors.Error as error:
                self._end(repr(error))

    def release(self, body: bytes) -> None:
        """A message with this body is held no longer."""
        self._held_messages -= 1
        self._held_bytes -= len(body)
        if not self._inbox:
            self._changed.set()

    def give_up(self) -> None:
        """After a lost connection nobody knows whether answers would still arrive.

        The server would go on to fill the request, as long as its inbox is subscribed, and send the messages to
        nobody: between accounts the way back was lost with the connection.
        """
        self._end()

    async def close(self) -> None:
        """Nothing arrives when this has returned."""
        self._end()
        await self._unsubscribe()

    @property
    def _has_room(self) -> bool:
        return self._held_messages <= PULL_MESSAGES // 2 and self._held_bytes <= PULL_BYTES // 2

    async def _open_request(self) -> None:
        messages = 1 if monotonic() < self._singly_until else PULL_MESSAGES - self._held_messages
        asked = {
            "batch": messages,
            "max_bytes": PULL_BYTES - self._held_bytes,
            "expires": EXPIRES_S * _NANOSECONDS,
            "idle_heartbeat": HEARTBEAT_S * _NANOSECONDS,
        }
        inbox = str(self._client.new_inbox())
        self._subscriptions[inbox] = await self._client.listen(inbox, partial(self._receive, inbox))
        self._inbox, self._owed, self._last_sign_at = inbox, messages, monotonic()
        await self._client.publish(self._subject, msgspec.json.encode(asked), reply=inbox)

    async def _receive(self, inbox: str, message: Msg) -> None:
        self._last_sign_at = monotonic()
        is_open = inbox == self._inbox
        if message.reply.startswith("$JS.ACK."):
            self._held_messages += 1
            self._held_bytes += len(message.data)
            self._on_message(message)
            if is_open:
                self._count(message)
        elif is_open:
            self._read_status(message.headers or {})

    def _count(self, message: Msg) -> None:
        self._owed -= 1
        if not message.data and message.headers is None:
            self._singly_until = monotonic() + SINGLY_FOR_S
            self._end("a message with nothing in it ended the request" if self._owed else None)
        elif not self._owed:
            self._end()

    def _read_status(self, headers: dict[str, str]) -> None:
        status, description = headers.get("Status", ""), headers.get("Description", "")
        if status in _UNFILLED or description == _TOO_LARGE:
            self._end()
        elif status != _ALIVE:
            self._end(f"{status} {description}".strip())

    def _end(self, trouble: str | None = None) -> None:
        self._inbox = ""
        if trouble is None:
            self._changed.set()
        else:
            self._on_trouble(trouble)

    async def _unsubscribe(self) -> None:
        """Give up every inbox but that of the open request."""
        for inbox in [inbox for inbox in self._subscriptions if inbox != self._inbox]:
            with suppress(nats.errors.Error):  # with the connection all of its subscriptions are gone
                await self._subscriptions.pop(inbox).unsubscribe()
