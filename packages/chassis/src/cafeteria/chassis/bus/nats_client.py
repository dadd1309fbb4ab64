"""The one file that touches what nats-py keeps to itself: guards against silent servers and senseless bytes.

| overridden | why | test |
|---|---|---|
| `_process_headers`, `_build_message` | bytes that make no sense would end the reading for good | test_bus_junk |
| `parser.MSG_RE`, `HMSG_RE` | a vertical tab in a reply subject would stop the reading until the connection is given up | test_bus_junk |
| `_request_new_style` | a request that cannot be sent would keep its place for ever | test_nats_client |
| `_process_pong` | an answer to a ping that was given up would end the reading, unnoticed | test_nats_client |
| `_flush_pending` | a lost connection would show as the transport's own error | test_nats_client |
| `_attempt_reconnect`, `_connect_to_server` | a frozen server would be waited for without end | test_bus_loss |

`test_nats_client` also notices when a release renames one of them or calls it otherwise. Why each stays and when it
may go: decision 24.
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

# As in nats-py, with the white space that separates words on the server: blank and tab.
parser.MSG_RE = re.compile(
    rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n"
)
parser.HMSG_RE = re.compile(
    rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n"
)


class BusClient(Client):
    """`api_prefix` is where JetStream's API is for this user."""

    def __init__(self, *, api_prefix: str = api.DEFAULT_PREFIX) -> None:
        super().__init__()
        self.api_prefix = api_prefix
        self._tokens = count()

    def jetstream(self, **options: Any) -> JetStreamContext:
        return super().jetstream(**{"prefix": self.api_prefix, **options})

    async def listen(self, inbox: str, callback: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Subscribe, or leave nothing behind: nats-py keeps what it could not send, to be sent at a reconnect.

        The callback must not wait for anything: the inbox's next message waits for it.
        """
        try:
            return await self.subscribe(inbox, cb=callback)
        except nats.errors.Error:
            for subscription in [each for each in self._subs.values() if each.subject == inbox]:
                subscription._stop_processing()  # noqa: SLF001 - here is the place for it
                self._remove_sub(subscription._id)  # noqa: SLF001 - the same
            raise

    async def flush_all(self) -> None:
        """Return when everything published so far has reached the server. Raises what `flush` raises.

        nats-py sends the ping of its `flush` ahead of what it still has buffered, so the answer to one ping proves
        nothing; while it is awaited the buffer goes out, and a second ping follows it for certain.
        """
        await self.flush()
        await self.flush()

    def drop_connection(self) -> None:
        """Leave the server at once, whatever is still to be written; a connected client then reconnects."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """A message is none the worse for lacking headers that cannot be read."""
        try:
            found: dict[str, str] | None = await super()._process_headers(headers)
        except Exception as error:  # noqa: BLE001 - whatever bytes somebody has sent
            await self._error_cb(error)
            return None
        return found

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """Subjects may be any bytes. No answer goes to one that is not text."""
        try:
            reply_to = reply.decode()
        except UnicodeDecodeError:
            reply_to = ""
        return self.msg_class(self, subject.decode("utf-8", "replace"), reply_to, data, headers, _sid=sid)

    async def _request_new_style(
        self, subject: str, payload: bytes, timeout: float = 1, headers: dict[str, Any] | None = None
    ) -> Msg:
        """Nothing is sent before the first connection either: one that fails with something left to send fails for good."""
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
        """nats-py would wait until a frozen server has taken what is still to be written."""
        self.drop_connection()
        await super()._attempt_reconnect()

    async def _connect_to_server(self, s: Any) -> None:
        """nats-py would leave a try open that got no further than a greeting, to be found by the collector."""
        self.drop_connection()
        await super()._connect_to_server(s)


def has_reply_subject(request: MicroRequest) -> bool:
    """Whether anybody waits for the answer."""
    return bool(request._msg.reply)  # noqa: SLF001 - nats-py shows it to nobody
