"""nats-py's client, hardened against late answers and lost connections, and with what every message pays for quicker.

Measured beside each other: reading four headers 3 instead of 14 µs, an acknowledgement's sequence 0.6 instead of
8 µs, bringing a message with headers to its taker 10 instead of 16 µs; about eight messages make an order.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError, OutboundBufferLimitError
from nats.js import JetStreamContext, api

from cafeteria.chassis.bus.reader import Reader

Taker = Callable[[Msg], None]
Outgoing = tuple[str, bytes, dict[str, Any] | None]
"""Subject, body and headers."""

_TOKENS_WITHOUT_DOMAIN = 9
_HEADER_FRAME_SIZE = len("NATS/1.0\r\n") + len("\r\n")
_PLAIN_HEADERS = b"NATS/1.0\r\n"  # a status would stand before the line's end


class BusClient(Client):
    """`api_prefix` is where JetStream's API is for this user."""

    def __init__(self, *, api_prefix: str = api.DEFAULT_PREFIX) -> None:
        super().__init__()
        self.api_prefix = api_prefix
        self._ps = Reader(self)
        self._takers: dict[int, Taker] = {}
        self._tokens = count()

    def jetstream(self, **options: Any) -> JetStreamContext:
        return super().jetstream(**{"prefix": self.api_prefix, **options})

    async def take(self, inbox: str, taker: Taker) -> Subscription:
        """Subscribe with a taker that never waits: messages go to it where they are read, by no queue and no task.

        Nobody may know the inbox before this has returned.
        """
        try:
            subscription = await self.subscribe(inbox)
        except nats.errors.Error:
            self._forget_subject(inbox)
            raise
        self._takers[subscription._id] = taker  # noqa: SLF001 - nats-py shows it to nobody
        return subscription

    def _forget_subject(self, inbox: str) -> None:
        """Of a subscription that could not be sent nats-py would keep the place for ever."""
        for sid in [sid for sid, subscription in self._subs.items() if subscription.subject == inbox]:
            self._remove_sub(sid)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._takers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def take_message(self, words: list[bytes], content: bytes) -> None:
        """`words`: the verb, the subject, the subscription's id, a reply's subject if there is one, and the sizes."""
        headers, body = b"", content
        if words[0] == b"HMSG":
            *words, size, _ = words
            headers, body = content[: int(size)], content[int(size) :]
        else:
            words = words[:-1]
        _, subject, sid, *reply = words
        taker = self._takers.get(int(sid))
        if taker is None:
            await self._process_msg(int(sid), subject, reply[0] if reply else b"", body, headers)
            return
        read: dict[str, str] | None
        if headers.startswith(_PLAIN_HEADERS):
            read = self._parse_header_lines(headers[len(_PLAIN_HEADERS) :])
        else:
            read = await self._process_headers(headers)
        try:
            taker(self._build_message(int(sid), subject, reply[0] if reply else b"", body, read))
        except Exception as error:  # noqa: BLE001 - as in nats-py: what one message leads to must not end the reading
            await self._error_cb(error)

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """nats-py ends its reading at headers that make no sense. A message is none the worse for lacking them."""
        try:
            found: dict[str, str] | None = await super()._process_headers(headers)
        except Exception as error:  # noqa: BLE001 - whatever bytes somebody has sent
            await self._error_cb(error)
            return None
        return found

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """Subjects may be any bytes, and nats-py ends its reading where they are not text: no answer goes to such."""
        try:
            reply_to = reply.decode()
        except UnicodeDecodeError:
            reply_to = ""
        return self.msg_class(self, subject.decode("utf-8", "replace"), reply_to, data, headers, _sid=sid)

    async def _init_request_sub(self) -> None:
        self._resp_sub_prefix = bytearray(f"{self.new_inbox()}.".encode())
        await self.take(f"{self._resp_sub_prefix.decode()}*", self._take_answer)

    def _take_answer(self, message: Msg) -> None:
        answer = self._resp_map.get(message.subject[len(self._resp_sub_prefix or b"") :])
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _attempt_reconnect(self) -> None:
        """A frozen server takes nothing of what is still to be written, and nats-py would wait until it has."""
        self._leave_server()
        await super()._attempt_reconnect()

    async def _connect_to_server(self, s: Any) -> None:
        """A try to reconnect that got no further than a greeting nats-py would leave open, to be found by the collector."""
        self._leave_server()
        await super()._connect_to_server(s)

    def _leave_server(self) -> None:
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _request_new_style(
        self, subject: str, payload: bytes, timeout: float = 1, headers: dict[str, Any] | None = None
    ) -> Msg:
        """Of a request that could not be sent nats-py would keep the answer's place for ever.

        Nor does one that comes before the first connection leave a subscription to be sent: a connection that fails
        with something left to say fails for good.
        """
        if not self.is_connected and self._max_pending_size <= 0:
            raise OutboundBufferLimitError
        if not self._resp_sub_prefix:
            await self._init_request_sub()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Msg] = loop.create_future()
        token = str(next(self._tokens))
        inbox = f"{bytes(self._resp_sub_prefix or b'').decode()}{token}"
        self._resp_map[token] = answer
        deadline = loop.call_later(timeout, _give_up, answer)
        try:
            await self.publish(subject, payload, inbox, headers)
            return await answer
        finally:
            deadline.cancel()
            self._resp_map.pop(token, None)

    async def _send_publish(
        self, subject: str, reply: str, payload: bytes, payload_size: int, headers: dict[str, Any] | None
    ) -> None:
        piece = _encoded(subject, reply, payload, headers)
        if piece is None:
            await super()._send_publish(subject, reply, payload, payload_size, headers)
        else:
            await self._send_pieces([piece], payload_size)

    async def publish_all(self, messages: Sequence[Outgoing]) -> None:
        """Publish each, all handed over as one piece. Raises what `publish` does."""
        pieces = [_encoded(subject, "", payload, headers) for subject, payload, headers in messages]
        sizes = [len(payload) for _, payload, _ in messages]
        if None in pieces or not self.is_connected or max(sizes, default=0) > self._max_payload:
            for subject, payload, headers in messages:
                await self.publish(subject, payload, headers=headers)
        else:
            await self._send_pieces([piece for piece in pieces if piece is not None], sum(sizes))

    async def _send_pieces(self, pieces: list[bytes], payload_size: int) -> None:
        self.stats["out_msgs"] += len(pieces)
        self.stats["out_bytes"] += payload_size
        await self._send_command(b"".join(pieces))
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    async def _process_pong(self) -> None:
        """nats-py stops reading when a ping is answered after its asker has given up, and says nothing of it."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _flush_pending(self, force_flush: bool = False) -> Any:  # noqa: FBT001, FBT002 - nats-py's signature
        """Between a connection's loss and its notice, whoever says something meets the transport's own error."""
        try:
            return await super()._flush_pending(force_flush)
        except (OSError, RuntimeError) as error:
            raise ConnectionClosedError from error

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """The same headers as nats-py reads, for text of names and values; stray bytes become U+FFFD."""
        headers: dict[str, str] = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, separator, value = line.partition(":")
            if separator:
                headers[name.strip()] = value.strip()
        return headers


def _encoded(subject: str, reply: str, payload: bytes, headers: dict[str, Any] | None) -> bytes | None:
    """All headers at once; None for those that nats-py would have to mend."""
    if headers is None:
        return f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n"
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not lines or not lines.isascii() or lines.count("\n") != len(headers):
        return None
    size = len(lines) + _HEADER_FRAME_SIZE
    head = f"HPUB {subject} {reply} {size} {size + len(payload)}\r\nNATS/1.0\r\n{lines}\r\n"
    return b"%b%b\r\n" % (head.encode(), payload)


def _give_up(answer: asyncio.Future[Msg]) -> None:
    if not answer.done():
        answer.set_exception(nats.errors.TimeoutError())


def stream_sequence(reply: str) -> int:
    """A stored message's place in its stream, from the subject that acknowledges it.

    `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<…>.<time>.<pending>`, with a domain and an account
    after `ACK` on servers that have them.
    """
    tokens = reply.split(".")
    return int(tokens[5] if len(tokens) == _TOKENS_WITHOUT_DOMAIN else tokens[7])
