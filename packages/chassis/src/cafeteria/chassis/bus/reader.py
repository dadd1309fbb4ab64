"""Cuts what the server sends into messages, each in one step; everything else is read by nats-py."""

from typing import Protocol

from nats.errors import ProtocolError
from nats.protocol.parser import Parser

_LINE_END = b"\r\n"
_MESSAGES = frozenset({b"MSG", b"HMSG"})


class TakesMessages(Protocol):
    """The client. `words` are a message's first line, `content` its headers and body."""

    async def take_message(self, words: list[bytes], content: bytes) -> None: ...


class Reader(Parser):
    def __init__(self, client: TakesMessages) -> None:
        self._client = client
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
            if not words or words[0] not in _MESSAGES:
                self.buf.extend(data[at:start])
                at = start
                await super().parse()
            else:
                end = start + _size(words)
                if len(data) < end + len(_LINE_END):
                    break
                at = end + len(_LINE_END)
                await self._client.take_message(words, data[start:end])
            if life != self._life:
                return
        self.buf.extend(data[at:])


def _size(words: list[bytes]) -> int:
    """Of what follows. Whatever else is a number must be one: the reading would end with any other error."""
    try:
        _sid, _headers = int(words[2]), int(words[-2]) if words[0] == b"HMSG" else 0
        return int(words[-1])
    except (ValueError, IndexError):
        raise ProtocolError("nats: malformed MSG") from None
