"""The NATS connection of a process, logged in as the service's own user; it reconnects by itself.

The client buffers nothing while the server is unreachable: a request that is delivered after its caller's deadline
is worse than one that fails at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import msgspec
import nats.errors
from nats.aio.msg import Msg

from cafeteria.chassis.messaging import publisher
from cafeteria.chassis.messaging import rpc as request_reply
from cafeteria.chassis.messaging.envelope import ENCODER, decoder_for, headers_for
from cafeteria.chassis.messaging.errors import NoAnswer
from cafeteria.chassis.messaging.nats_client import BusClient
from cafeteria.chassis.messaging.outbox import OutboxRow
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.addresses import bracketed
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.chassis.runtime.termination import end_process
from cafeteria.contracts.channels import Rpc, Topic
from cafeteria.contracts.subjects import STREAMS_API

CONNECT_TIMEOUT_S = 2
RECONNECT_WAIT_S = 0.25
PING_INTERVAL_S = 2  # with two pings outstanding the client detects a frozen server after about six seconds
MAX_PINGS_OUTSTANDING = 2

Request = TypeVar("Request", bound=msgspec.Struct)
Reply = TypeVar("Reply", bound=msgspec.Struct)
Body = TypeVar("Body", bound=msgspec.Struct)

logger = get_logger()


class Bus:
    """Sends and receives messages. Entering the context starts to connect without waiting: NATS may be down."""

    def __init__(self, settings: ServiceSettings, *, service: str) -> None:
        self.service = service
        self.client = BusClient(api_prefix=STREAMS_API)
        self._settings = settings
        self._connected = asyncio.Event()
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._reconnect_listeners: list[Callable[[], None]] = []
        self._endpoints = request_reply.Endpoints(self.client, service=service)
        self._has_logged_unreachable = False

    async def __aenter__(self) -> Self:
        self._spawn(self._connect())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop serving, then flush all outgoing messages."""
        self._closing = True
        await self.stop_serving()
        for task in self._tasks:
            task.cancel()
        if self.client.is_connected:
            with suppress(nats.errors.Error, TimeoutError):
                await self.client.flush(timeout=1)
        if not self.client.is_closed:
            with suppress(OSError):  # the server may have closed the connection already
                await self.client.close()

    async def stop_serving(self) -> None:
        """Accept no more requests, and answer those that have arrived. The second call does nothing."""
        await self._endpoints.close()

    @property
    def is_connected(self) -> bool:
        return bool(self.client.is_connected)

    async def ping(self) -> None:
        """Check the server, for readiness. Raises NoAnswer unless it answers within a second."""
        if not self.is_connected:
            raise NoAnswer("the bus")
        try:
            await self.client.flush(timeout=1)
        except (nats.errors.Error, TimeoutError) as error:
            raise NoAnswer("the bus") from error

    async def connected(self) -> None:
        """Wait for the first connection."""
        await self._connected.wait()

    def on_reconnect(self, listener: Callable[[], None]) -> None:
        self._reconnect_listeners.append(listener)

    def inbox(self) -> str:
        return str(self.client.new_inbox())

    async def request(
        self, rpc: Rpc[Request, Reply], message: Request, *, deadline_s: float, traceparent: str | None = None
    ) -> Reply:
        """Send a request to the owner of `rpc`. Raises NoResponder, NoAnswer (outcome unknown) or PeerRefused."""
        headers = headers_for(self.service, traceparent)
        decode = decoder_for(rpc.reply).decode
        return await request_reply.ask(
            self.client, rpc, message, decode=decode, deadline_s=deadline_s, headers=headers
        )

    async def request_items(
        self, rpc: Rpc[Request, Any], message: Request, *, deadline_s: float
    ) -> list[Any]:
        """Return the readable items of a reply that is one list; log unreadable ones. Raises as `request` does."""
        headers = headers_for(self.service, None)
        decode = request_reply.readable_items_of(rpc.reply, subject=rpc.subject)
        return await request_reply.ask(
            self.client, rpc, message, decode=decode, deadline_s=deadline_s, headers=headers
        )

    async def serve(self, rpc: Rpc[Request, Reply], handler: Callable[[Request], Awaitable[Reply]]) -> None:
        """Answer `rpc` from now on, or from the first connection on; requests are handled concurrently."""
        decode = decoder_for(rpc.request).decode
        await self._now_or_when_connected(partial(self._endpoints.add, rpc, handler, decode=decode))

    async def serve_items(
        self, rpc: Rpc[Any, Reply], handler: Callable[[list[Any]], Awaitable[Reply]]
    ) -> None:
        """As `serve`, for a request that is one list: unreadable items are logged and left out."""
        decode = request_reply.readable_items_of(rpc.request, subject=rpc.subject)
        await self._now_or_when_connected(partial(self._endpoints.add, rpc, handler, decode=decode))

    async def publish(self, topic: Topic[Body], body: Body) -> None:
        """Publish without storing or acknowledgement. Raises NoAnswer if the client is not connected."""
        try:
            await self.client.publish(
                topic.subject,
                ENCODER.encode(body),
                headers=headers_for(self.service, None, type_name=topic.type_name),
            )
        except nats.errors.Error as error:
            raise NoAnswer(topic.subject) from error

    async def subscribe(self, topic: Topic[Body], handler: Callable[[Body], None]) -> None:
        """Subscribe to a core NATS topic from now on, or from the first connection on."""
        decode = decoder_for(topic.body).decode

        async def on_message(message: Msg) -> None:
            try:
                handler(decode(message.data))
            except msgspec.MsgspecError as error:
                logger.warning("message_undecodable", subject=topic.subject, reason=str(error))

        async def begin() -> None:
            await self.client.subscribe(topic.subject, cb=on_message)
            await self.client.flush_all()

        await self._now_or_when_connected(begin)

    async def publish_stored(self, messages: Sequence[OutboxRow]) -> None:
        """Publish outbox rows, packed. Returns when JetStream has acknowledged all; raises NotStored otherwise."""
        await publisher.publish(self.client, messages, sender=self.service)

    async def _connect(self) -> None:
        """Connect; the client retries without end. If it fails all the same, end the process so that it restarts."""
        try:
            await self._connect_client()
        except Exception:
            logger.exception("bus_not_connected")
            end_process()
            return
        self._has_logged_unreachable = False
        self._connected.set()
        logger.info("bus_connected")

    async def _connect_client(self) -> None:
        address = urlsplit(self._settings.nats_url)
        await self.client.connect(
            servers=[f"nats://{bracketed(address.hostname or '')}:{address.port or 4222}"],
            user=self.service,
            password=self._settings.nats_password.reveal(),
            name=f"cafeteria-{self.service}",
            inbox_prefix=f"_INBOX_{self.service}".encode(),
            connect_timeout=CONNECT_TIMEOUT_S,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # any number of seconds works
            max_reconnect_attempts=-1,
            ping_interval=PING_INTERVAL_S,
            max_outstanding_pings=MAX_PINGS_OUTSTANDING,
            pending_size=-1,
            skip_subject_validation=True,  # none is from outside; the check costs as much as the rest of a publish
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
            closed_cb=self._on_closed,
        )

    async def _now_or_when_connected(self, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._connected.is_set():
            await begin()
        else:
            self._spawn(self._once_connected(begin))

    async def _once_connected(self, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Only waiting for the server's confirmation can fail: each reconnect sends the subscriptions again."""
        await self._connected.wait()
        try:
            await begin()
        except (nats.errors.Error, TimeoutError) as error:
            logger.warning("bus_unconfirmed", reason=str(error) or repr(error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("bus_task_failed", exc_info=error)

    async def _on_error(self, error: Exception) -> None:
        """Log an error of the client: the only trace of a refused publish or a slow consumer."""
        if self.client.is_connected:
            logger.warning("bus_error", reason=str(error) or repr(error))
        elif not self._has_logged_unreachable:
            self._has_logged_unreachable = True
            logger.warning("bus_unreachable", reason=str(error) or repr(error))

    async def _on_disconnect(self) -> None:
        if not self._closing:
            logger.warning("bus_disconnected")

    async def _on_reconnect(self) -> None:
        self._has_logged_unreachable = False
        logger.info("bus_reconnected")
        for listener in self._reconnect_listeners:
            listener()

    async def _on_closed(self) -> None:
        """The client closes for good only if its login is refused; end the process so that a new one starts clean."""
        if not self._closing:
            logger.error("bus_closed", reason="The bus refused this service's login.")
            end_process()
