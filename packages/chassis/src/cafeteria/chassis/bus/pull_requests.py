"""The requests for messages that one process has open at one pull consumer.

Each request has an inbox of its own, which is given up when the request has ended: the server keeps a place for the
answers to a request for as long as somebody listens on its inbox, and one inbox for all would make it keep all places.

Between accounts a message without headers and body ends its request: the server takes it for the last answer, and what
it sends after it is lost until it is delivered again. None of ours is so; once one has come, requests are for one
message each for a while, so that the next costs nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from time import monotonic

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from cafeteria.chassis.bus.client import BusClient

EXPIRES_S = 30
HEARTBEAT_S = 1  # the server says that an open request is alive
SILENCE_S = 3 * HEARTBEAT_S
ALIVE = "100"  # the status of a heartbeat; every other ends its request
SINGLY_FOR_S = 30  # longer than what was lost with one takes to come again
SINGLE_REQUESTS = 64
_NANOSECONDS = 1_000_000_000


class PullRequests:
    """Calls `on_message` for each stored message, and `on_end` when a request ends early, with its status' headers.

    `owed` is how many messages were asked for and have not come; `heard_at` when the server gave the last sign of life.
    """

    def __init__(
        self,
        client: BusClient,
        stream: str,
        consumer: str,
        *,
        on_message: Callable[[Msg], None],
        on_end: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._client = client
        self._subject = f"{client.api_prefix}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._on_message = on_message
        self._on_end = on_end
        self._open: list[_Request] = []
        self._closing: set[asyncio.Task[None]] = set()
        self.owed = 0
        self.heard_at = 0.0
        self._singly_until = 0.0

    @property
    def count(self) -> int:
        """Requests that the server may still answer."""
        return sum(not request.has_ended for request in self._open)

    async def ask(self, messages: int) -> None:
        """Raises NATS' errors when nothing could be sent."""
        if not self._client.is_connected:
            raise nats.errors.ConnectionClosedError
        await self._close_ended()
        if monotonic() < self._singly_until:
            for _ in range(min(messages, SINGLE_REQUESTS)):
                await self._open_request(1)
        else:
            await self._open_request(messages)

    async def _open_request(self, messages: int) -> None:
        request = _Request(messages)
        inbox = str(self._client.new_inbox())
        request.subscription = await self._client.take(inbox, partial(self._receive, request))
        self._open.append(request)
        if self.owed == 0:
            self.heard_at = monotonic()  # silence is measured from the asking
        self.owed += messages
        await self._client.publish(self._subject, request.body, reply=inbox)

    def forget(self) -> None:
        """Give up all open requests: nobody knows whether their answers would still arrive.

        After a lost connection the server would go on to fill them, as long as their inboxes are subscribed, and send
        the messages to nobody: between accounts the way back was lost with the connection.
        """
        for request in list(self._open):
            request.owed = 0
            self._abandon(request)
        self.owed = 0

    async def close(self) -> None:
        """Nothing arrives when this has returned."""
        requests, self._open = self._open, []
        for request in requests:
            await self._unsubscribe(request)

    def _receive(self, request: "_Request", message: Msg) -> None:
        self.heard_at = monotonic()
        if message.reply.startswith("$JS.ACK."):
            if request.owed:
                self.owed -= 1
                request.owed -= 1
                request.has_ended = request.owed == 0
            if not message.data and message.headers is None:
                self._singly_until = monotonic() + SINGLY_FOR_S
                self._abandon(request)
                self._end(request, {})
            self._on_message(message)
        elif (headers := message.headers or {}).get("Status") != ALIVE:
            self._end(request, headers)

    def _abandon(self, request: "_Request") -> None:
        """The server stops to answer it when it sees that nobody listens."""
        if request in self._open:
            self._open.remove(request)
            closing = asyncio.create_task(self._unsubscribe(request))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _end(self, request: "_Request", headers: Mapping[str, str]) -> None:
        self.owed -= request.owed
        request.owed = 0
        request.has_ended = True
        self._on_end(headers)

    async def _close_ended(self) -> None:
        """Also those whose end was lost on the way."""
        before = monotonic() - EXPIRES_S - SILENCE_S
        ended = [request for request in self._open if request.has_ended or request.asked_at < before]
        for request in ended:
            self._open.remove(request)
            self.owed -= request.owed
            await self._unsubscribe(request)

    async def _unsubscribe(self, request: "_Request") -> None:
        if request.subscription is not None and not self._client.is_closed:
            with suppress(nats.errors.Error):  # with the connection all of its subscriptions are gone
                await request.subscription.unsubscribe()


class _Request:
    def __init__(self, messages: int) -> None:
        self.owed = messages
        self.asked_at = monotonic()
        self.has_ended = False
        self.subscription: Subscription | None = None
        self.body = msgspec.json.encode(
            {
                "batch": messages,
                "expires": EXPIRES_S * _NANOSECONDS,
                "idle_heartbeat": HEARTBEAT_S * _NANOSECONDS,
            }
        )
