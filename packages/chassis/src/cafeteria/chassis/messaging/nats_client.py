"""The only file that overrides private parts of nats-py: guards against silent servers and invalid bytes.

| overridden | why | test |
|---|---|---|
| `_process_headers`, `_build_message` | invalid bytes would end the read loop for good | test_bus_junk |
| `parser.MSG_RE`, `HMSG_RE` | a vertical tab in a reply subject would block the read loop until the connection is closed | test_bus_junk |
| `_request_new_style` | a request that cannot be sent would keep its entry for ever | test_nats_client |
| `_process_pong` | a late reply to a timed-out ping would end the read loop silently | test_nats_client |
| `_flush_pending` | a lost connection would raise the transport's own error | test_nats_client |
| `_attempt_reconnect`, `_connect_to_server` | the client would wait for a frozen server without end | test_bus_loss |

`test_nats_client` also fails if a release renames one of them or changes its call. Reasons to keep each and when to
remove it: decision 24.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError, OutboundBufferLimitError
from nats.js import JetStreamContext, api
from nats.micro.request import Request as MicroRequest
from nats.protocol import parser

# As in nats-py, with the separators of the server: blank and tab.
parser.MSG_RE = re.compile(
    rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n"
)
parser.HMSG_RE = re.compile(
    rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n"
)


class BusClient(Client):
    """A NATS client that survives frozen servers and invalid bytes. `api_prefix` is the user's JetStream API."""

    def __init__(self, *, api_prefix: str = api.DEFAULT_PREFIX) -> None:
        super().__init__()
        self.api_prefix = api_prefix
        self._tokens = count()

    def jetstream(self, **options: Any) -> JetStreamContext:
        return super().jetstream(**{"prefix": self.api_prefix, **options})

    async def listen(self, inbox: str, callback: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Subscribe; after a failure remove the subscription, which nats-py would send at a reconnect.

        The callback must not block: the next message of the inbox waits for it.
        """
        try:
            return await self.subscribe(inbox, cb=callback)
        except nats.errors.Error:
            for subscription in [each for each in self._subs.values() if each.subject == inbox]:
                subscription._stop_processing()  # noqa: SLF001 - this file may
                self._remove_sub(subscription._id)  # noqa: SLF001 - the same
            raise

    async def flush_all(self) -> None:
        """Return when the server has received everything published so far. Raises the errors of `flush`.

        nats-py sends the ping of its `flush` ahead of its buffer, so the reply to one ping proves nothing. The buffer
        is sent during that wait, and the second ping follows it.
        """
        await self.flush()
        await self.flush()

    def drop_connection(self) -> None:
        """Abort the connection and discard unsent data; a connected client then reconnects."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """Deliver a message without headers if they are invalid."""
        try:
            found: dict[str, str] | None = await super()._process_headers(headers)
        except Exception as error:  # noqa: BLE001 - the bytes may be anything
            await self._error_cb(error)
            return None
        return found

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """Accept any bytes as subjects; a reply subject that is not UTF-8 gets no reply."""
        try:
            reply_to = reply.decode()
        except UnicodeDecodeError:
            reply_to = ""
        return self.msg_class(self, subject.decode("utf-8", "replace"), reply_to, data, headers, _sid=sid)

    async def _request_new_style(
        self, subject: str, payload: bytes, timeout: float = 1, headers: dict[str, Any] | None = None
    ) -> Msg:
        """Send nothing before the first connection: with unsent data, a failing first connection fails for good."""
        if not self.is_connected and self._max_pending_size <= 0:
            raise OutboundBufferLimitError
        if not self._resp_sub_prefix:
            await self._init_request_sub()
        token = str(next(self._tokens))
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._resp_map[token] = answer
        try:
            await self.publish(
                subject, payload, f"{bytes(self._resp_sub_prefix or b'').decode()}{token}", headers
            )
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError as error:
            raise nats.errors.TimeoutError from error
        finally:
            self._resp_map.pop(token, None)

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _flush_pending(self, force_flush: bool = False) -> Any:  # noqa: FBT001, FBT002 - nats-py's signature
        try:
            return await super()._flush_pending(force_flush)
        except (OSError, RuntimeError) as error:
            raise ConnectionClosedError from error

    async def _attempt_reconnect(self) -> None:
        """Drop the connection first: nats-py would wait for a frozen server to accept unsent data."""
        self.drop_connection()
        await super()._attempt_reconnect()

    async def _connect_to_server(self, s: Any) -> None:
        """Drop the last attempt first: after a greeting only, nats-py leaves it open to the garbage collector."""
        self.drop_connection()
        await super()._connect_to_server(s)


def has_reply_subject(request: MicroRequest) -> bool:
    """Return whether the request expects a reply."""
    return bool(request._msg.reply)  # noqa: SLF001 - nats-py has no public name for it
