"""Reads what the server sends: whole messages in one step, and everything else as nats-py does.

nats-py carries a message through a state machine, a queue and a task of its subscription: 17 µs, of which about eight
such messages make an order. Here it is 8, and for a taker that never waits there is neither queue nor task.
"""

from collections.abc import Callable
from typing import Any

from nats.aio.msg import Msg
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

Taker = Callable[[Msg], None]

_LINE_END = b"\r\n"
_MESSAGE, _MESSAGE_WITH_HEADERS = b"MSG", b"HMSG"
_PLAIN_HEADERS = b"NATS/1.0\r\n"  # a status would stand before the line's end


class Reader(Parser):
    """`takers` get the messages of their subscriptions, by its id, where they are read."""

    def __init__(self, client: Any) -> None:
        self.takers: dict[int, Taker] = {}
        self._life = 0
        super().__init__(client)

    def reset(self) -> None:
        """A new connection: what is left of the old one means nothing."""
        self._life += 1
        super().reset()

    async def parse(self, data: bytes = b"") -> None:
        """Raises ProtocolError."""
        life = self._life
        if self.buf:
            data = bytes(self.buf) + data
            self.buf.clear()
        at = 0
        while (line_end := data.find(_LINE_END, at)) >= 0:
            words = data[at:line_end].split()
            start = line_end + len(_LINE_END)
            if not words or words[0] not in (_MESSAGE, _MESSAGE_WITH_HEADERS):
                self.buf.extend(data[at:start])
                at = start
                await super().parse()
            else:
                end = start + _size(words)
                if len(data) < end + len(_LINE_END):
                    break
                at = end + len(_LINE_END)
                await self._hand_over(words, data[start:end])
            if life != self._life:
                return
        self.buf.extend(data[at:])

    async def _hand_over(self, words: list[bytes], content: bytes) -> None:
        """`words` are the verb, the subject, the subscription's id, perhaps a reply's subject, and sizes."""
        if words[0] == _MESSAGE_WITH_HEADERS:
            _, subject, sid, *reply, headers_size, _ = words
            headers, body = content[: int(headers_size)], content[int(headers_size) :]
        else:
            _, subject, sid, *reply, _ = words
            headers, body = b"", content
        taker = self.takers.get(int(sid))
        if taker is None:
            await self.nc._process_msg(int(sid), subject, reply[0] if reply else b"", body, headers or None)
            return
        if headers.startswith(_PLAIN_HEADERS):
            read = self.nc._parse_header_lines(headers[len(_PLAIN_HEADERS) :])
        else:
            read = await self.nc._process_headers(headers)
        message = Msg(self.nc, subject.decode(), reply[0].decode() if reply else "", body, read)
        try:
            taker(message)
        except Exception as error:  # noqa: BLE001 - as nats-py does: one bad message must not end the reading
            await self.nc._error_cb(error)


def _size(words: list[bytes]) -> int:
    try:
        return int(words[-1])
    except ValueError:
        raise ProtocolError("nats: malformed MSG") from None
