"""Keeps one pull request open at a consumer while the client has capacity for more messages.

nats-py's `fetch` stalls up to its time-out if the stream has fewer messages than requested, so this file uses the pull
protocol directly. One request at a time: the server would spread messages over several, and each inbox has its own
task, so their order would be lost. A request has its own inbox and unsubscribes it at its end: the server keeps state
for the replies to a request as long as its inbox has a subscriber (decision 16).

Between accounts a message without headers and body ends its request: the server treats it as the last reply, and later
messages are lost until their redelivery. No service publishes such a message; after one arrives, requests are for one
message each for a while, so that the next loses nothing.
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

from cafeteria.chassis.messaging.nats_client import BusClient

PULL_MESSAGES = 16  # requested or held; the server keeps the others
PULL_BYTES = 4 << 20
EXPIRES_S = 30
HEARTBEAT_S = 1  # interval of the server's heartbeats on an open request
SILENCE_S = 3 * HEARTBEAT_S
WATCH_S = 0.25
SINGLY_FOR_S = 30  # longer than the redelivery of the lost messages takes
_ALIVE = "100"
_UNFILLED = frozenset({"404", "408"})
_TOO_LARGE = "Message Size Exceeds MaxBytes"  # the next message exceeds the rest of the request
_NANOSECONDS = 1_000_000_000


class PullRequests:
    """Calls `on_message` for each stored message; the message counts as held until `release`.

    Calls `on_failure` with the reason if a request ended neither filled nor expired: the consumer was deleted, the
    server is silent, a message was lost. The next request follows anyway.
    """

    def __init__(
        self,
        client: BusClient,
        stream: str,
        consumer: str,
        *,
        on_message: Callable[[Msg], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._client = client
        self._subject = f"{client.api_prefix}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._on_message = on_message
        self._on_failure = on_failure
        self._inbox = ""  # of the open request
        self._outstanding = 0  # messages requested and not received
        self._subscriptions: dict[str, Subscription] = {}
        self._held_messages = self._held_bytes = 0
        self._last_received_at = 0.0
        self._single_until = 0.0
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Keep a request open until cancelled."""
        while True:
            self._changed.clear()
            await self.ask()
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._changed.wait()

    async def ask(self) -> None:
        """Open a request, unless one is open or the client is at capacity."""
        if self._inbox and monotonic() - self._last_received_at > SILENCE_S:
            self._end("silence")
        await self._unsubscribe()
        if not self._inbox and self._has_capacity and self._client.is_connected:
            try:
                await self._open_request()
            except nats.errors.Error as error:
                self._end(repr(error))

    def release(self, body: bytes) -> None:
        """Free the capacity of a message with this body."""
        self._held_messages -= 1
        self._held_bytes -= len(body)
        if not self._inbox:
            self._changed.set()

    def reset(self) -> None:
        """End the request after a lost connection: it is unknown whether replies still arrive.

        While its inbox has a subscription, the server would continue to fill the request, and the messages would be
        lost: between accounts the reply route ended with the connection.
        """
        self._end()

    async def close(self) -> None:
        """End the request; after the return no message arrives."""
        self._end()
        await self._unsubscribe()

    @property
    def _has_capacity(self) -> bool:
        return self._held_messages <= PULL_MESSAGES // 2 and self._held_bytes <= PULL_BYTES // 2

    async def _open_request(self) -> None:
        messages = 1 if monotonic() < self._single_until else PULL_MESSAGES - self._held_messages
        request = {
            "batch": messages,
            "max_bytes": PULL_BYTES - self._held_bytes,
            "expires": EXPIRES_S * _NANOSECONDS,
            "idle_heartbeat": HEARTBEAT_S * _NANOSECONDS,
        }
        inbox = str(self._client.new_inbox())
        self._subscriptions[inbox] = await self._client.listen(inbox, partial(self._receive, inbox))
        self._inbox, self._outstanding, self._last_received_at = inbox, messages, monotonic()
        await self._client.publish(self._subject, msgspec.json.encode(request), reply=inbox)

    async def _receive(self, inbox: str, message: Msg) -> None:
        self._last_received_at = monotonic()
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
        self._outstanding -= 1
        if not message.data and message.headers is None:
            self._single_until = monotonic() + SINGLY_FOR_S
            self._end("a message without headers and body ended the request" if self._outstanding else None)
        elif not self._outstanding:
            self._end()

    def _read_status(self, headers: dict[str, str]) -> None:
        status, description = headers.get("Status", ""), headers.get("Description", "")
        if status in _UNFILLED or description == _TOO_LARGE:
            self._end()
        elif status != _ALIVE:
            self._end(f"{status} {description}".strip())

    def _end(self, reason: str | None = None) -> None:
        self._inbox = ""
        if reason is None:
            self._changed.set()
        else:
            self._on_failure(reason)

    async def _unsubscribe(self) -> None:
        """Unsubscribe every inbox except that of the open request."""
        for inbox in [inbox for inbox in self._subscriptions if inbox != self._inbox]:
            with suppress(nats.errors.Error):  # a lost connection has ended all its subscriptions
                await self._subscriptions.pop(inbox).unsubscribe()
