"""uvicorn's request-response cycle, with refusals. The table in `uvicorn_server` lists the overrides, and why."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from cafeteria.chassis.runtime.errors import ServiceError


class Cycle(RequestResponseCycle):
    """A request and its answer. `refuse` ends an incomplete request while the app reads it."""

    refusal: ServiceError | None = None
    is_awaited = False
    """Whether the app waits for more of the request; then nothing was done yet."""

    def refuse(self, refusal: ServiceError) -> None:
        """Make the app's next read raise `refusal`. An answer that has begun goes on, then the connection ends."""
        self.keep_alive = False
        if not self.response_started:
            self.refusal = refusal
            self.message_event.set()

    async def receive(self) -> Any:
        self.is_awaited = True
        message = await super().receive()
        self.is_awaited = False
        if self.refusal is None:
            return message
        if self.response_started:
            return {"type": "http.disconnect"}
        raise self.refusal


class Http10Cycle(Cycle):
    """HTTP/1.0 has no chunks, so an answer of unknown length ends with its connection."""

    is_open_ended = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            message = self._with_end(message)
        elif self.is_open_ended:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)

    def _with_end(self, start: Any) -> Any:
        names = {name.lower() for name, _ in start.get("headers", ())}
        if b"content-length" not in names and start["status"] not in (204, 304):
            self.keep_alive = self.chunked_encoding = False
            self.is_open_ended = True
        elif self.keep_alive and b"connection" not in names:
            return {**start, "headers": [*start["headers"], (b"connection", b"keep-alive")]}
        return start
