"""A transport that joins the writes of one iteration of the event loop: an answer's head and its body."""

import asyncio
from collections.abc import Callable
from typing import Any

GATHERED_BYTES = 16_384


class GatheringTransport:
    """Wraps `transport`. `close` calls `on_close` once, which decides when the transport really closes."""

    __slots__ = ("_bytes", "_chunks", "_is_closing", "_loop", "_on_close", "_transport")

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        self._transport = transport
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._is_closing = False

    def write(self, data: bytes) -> None:
        if not self._chunks:
            self._loop.call_soon(self._flush)
        self._chunks.append(data)
        self._bytes += len(data)
        if self._bytes > GATHERED_BYTES:  # otherwise an endless writer would never reach a full buffer
            self._flush()

    def close(self) -> None:
        if not self.is_closing():
            self._is_closing = True
            self._on_close()

    def close_now(self) -> None:
        """Close after sending all that was written."""
        self._is_closing = True
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        self._flush()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._bytes + self._transport.get_write_buffer_size()

    def _flush(self) -> None:
        chunks, self._chunks, self._bytes = self._chunks, [], 0
        if chunks and not self._transport.is_closing():
            self._transport.write(b"".join(chunks))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
