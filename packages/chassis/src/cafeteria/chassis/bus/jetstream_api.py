"""Asks the server about streams and consumers: one client of JetStream's API for services, bootstrap and tools."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from cafeteria.chassis.bus.nats_client import BusClient

API_TIMEOUT_S = 2.0
BEHIND_MESSAGES = 16
BEHIND_S = 3.0

Answer = TypeVar("Answer")


class ApiError(msgspec.Struct, frozen=True):
    """Why the server refused; `err_code` is JetStream's own number for it."""

    code: int = 0
    err_code: int = 0
    description: str = "no reason given"


class Refused(Exception):
    """The server answered that it will not: mostly that the stream is not there (yet)."""

    def __init__(self, subject: str, error: ApiError) -> None:
        super().__init__(f"{subject}: {error.description}")
        self.error = error


class Answered(msgspec.Struct):
    """What every answer of JetStream may be, to a question or to a message that is to be stored."""

    error: ApiError | None = None


class _Delivered(msgspec.Struct):
    consumer_seq: int = 0


class ConsumerInfo(msgspec.Struct):
    """`ts` is the server's clock when it answered."""

    ts: datetime
    num_pending: int = 0
    num_ack_pending: int = 0
    num_waiting: int = 0
    delivered: _Delivered = msgspec.field(default_factory=_Delivered)

    @property
    def unread(self) -> int:
        """Messages that are not acknowledged yet."""
        return self.num_pending + self.num_ack_pending


class _State(msgspec.Struct):
    last_seq: int = 0


class StreamInfo(msgspec.Struct):
    """`created` differs between the lives of a stream; `ts` is the server's clock when it answered."""

    ts: datetime
    created: str = ""
    state: _State = msgspec.field(default_factory=_State)


class JetStreamApi:
    """Every question raises Refused, msgspec.MsgspecError, and NATS' errors or TimeoutError while there is no answer."""

    def __init__(self, client: BusClient, *, timeout_s: float = API_TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def ask(
        self, subject: str, request: Mapping[str, Any] | None = None, *, answer: type[Answer]
    ) -> Answer:
        """`subject` is without the prefix: `STREAM.INFO.KITCHEN`."""
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
    """Whether a reader that misses something may just not have read it yet.

    `last_stored_at` is when the message was stored that the reader handled last.
    """
    if unread >= BEHIND_MESSAGES:
        return True
    if unread == 0:
        return False
    return last_stored_at is None or server_time - last_stored_at > timedelta(seconds=BEHIND_S)
