"""Requests information on streams and consumers: the JetStream API client of services, bootstrap and tools."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from cafeteria.chassis.messaging.nats_client import BusClient

API_TIMEOUT_S = 2.0
LAG_LIMIT_MESSAGES = 16  # unread messages
LAG_LIMIT_S = 3.0  # age of the last handled message

Answer = TypeVar("Answer")


class ApiError(msgspec.Struct, frozen=True):
    """Why the server refused; `err_code` is JetStream's own number for it."""

    code: int = 0
    err_code: int = 0
    description: str = "no reason given"


class Refused(Exception):
    """The server answered with an error, mostly because the stream does not exist (yet)."""

    def __init__(self, subject: str, error: ApiError) -> None:
        super().__init__(f"{subject}: {error.description}")
        self.error = error


class Answered(msgspec.Struct):
    """The error that any reply of JetStream may hold, to an API request or to a published message."""

    error: ApiError | None = None


class _Delivered(msgspec.Struct):
    consumer_seq: int = 0


class ConsumerInfo(msgspec.Struct):
    """The state of a consumer. `ts` is the server's time of the reply."""

    ts: datetime
    num_pending: int = 0
    num_ack_pending: int = 0
    num_waiting: int = 0
    delivered: _Delivered = msgspec.field(default_factory=_Delivered)

    @property
    def unread(self) -> int:
        """The number of messages without an acknowledgement."""
        return self.num_pending + self.num_ack_pending


class _State(msgspec.Struct):
    last_seq: int = 0


class StreamInfo(msgspec.Struct):
    """The state of a stream. `created` changes if it is deleted and created again; `ts` is the server's time."""

    ts: datetime
    created: str = ""
    state: _State = msgspec.field(default_factory=_State)


class JetStreamApi:
    """Client of the JetStream API. Requests raise Refused, msgspec.MsgspecError, NATS' errors or TimeoutError."""

    def __init__(self, client: BusClient, *, timeout_s: float = API_TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def ask(
        self, subject: str, request: Mapping[str, Any] | None = None, *, answer: type[Answer]
    ) -> Answer:
        """Send a request. `subject` has no prefix, for instance `STREAM.INFO.KITCHEN`."""
        body = b"" if request is None else msgspec.json.encode(request)
        subject = f"{self._client.api_prefix}.{subject}"
        reply = await self._client.request(subject, body, timeout=self._timeout_s)
        if (error := msgspec.json.decode(reply.data, type=Answered).error) is not None:
            raise Refused(subject, error)
        return msgspec.json.decode(reply.data, type=answer)

    async def stream(self, name: str) -> StreamInfo:
        return await self.ask(f"STREAM.INFO.{name}", answer=StreamInfo)

    async def consumer(self, stream: str, name: str) -> ConsumerInfo:
        return await self.ask(f"CONSUMER.INFO.{stream}.{name}", answer=ConsumerInfo)


def is_behind(*, unread: int, last_stored_at: datetime | None, server_time: datetime) -> bool:
    """Return whether a reader lags so far that a missing message may only be unread.

    `last_stored_at` is the time at which the stream stored the message that the reader handled last.
    """
    if unread >= LAG_LIMIT_MESSAGES:
        return True
    if unread == 0:
        return False
    return last_stored_at is None or server_time - last_stored_at > timedelta(seconds=LAG_LIMIT_S)
