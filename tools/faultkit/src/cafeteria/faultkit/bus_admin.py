"""The bus with the administrator's rights: stored and unread messages, and operations that no service may do."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import nats.errors

from cafeteria.chassis.messaging.jetstream_api import JetStreamApi, Refused
from cafeteria.chassis.messaging.nats_client import BusClient

API_TIMEOUT_S = 5.0


class BusAdmin:
    """A connection that reconnects by itself; every request raises TimeoutError or NATS' errors while it is down."""

    def __init__(self, admin_url: str) -> None:
        self._url = urlsplit(admin_url)
        self._client = BusClient()
        self._api = JetStreamApi(self._client, timeout_s=API_TIMEOUT_S)

    async def __aenter__(self) -> Self:
        await self._client.connect(
            f"nats://{self._url.hostname}:{self._url.port}",
            user=unquote(self._url.username or ""),
            password=unquote(self._url.password or ""),
            name="cafeteria-rush",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,  # type: ignore[arg-type]  # any number of seconds works
            ping_interval=2,
            error_cb=_ignore,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(OSError, nats.errors.Error):
            await self._client.close()

    async def ask(self, subject: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one request to JetStream's API. Raises Refused, TimeoutError, or NATS' errors."""
        return await self._api.ask(subject, request, answer=dict[str, Any])

    async def publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        await self._client.publish(subject, body, headers=headers)
        await self._client.flush(timeout=API_TIMEOUT_S)  # type: ignore[arg-type]  # any number of seconds works

    async def stream(self, name: str) -> dict[str, Any]:
        state: dict[str, Any] = (await self.ask(f"STREAM.INFO.{name}"))["state"]
        return state

    async def unread(self, stream: str, durable: str) -> int:
        """Return the number of messages that the consumer has not acknowledged yet."""
        return (await self._api.consumer(stream, durable)).unread

    async def message(self, stream: str, sequence: int) -> dict[str, Any] | None:
        """Return the message as JetStream's API encodes it, body and headers in base64; None if there is none."""
        with suppress(Refused):
            found = await self.ask(f"STREAM.MSG.GET.{stream}", {"seq": sequence})
            message: dict[str, Any] = found["message"]
            return message
        return None


async def _ignore(error: Exception) -> None:
    """Ignore the error: without a callback nats-py logs a traceback for each failed attempt."""
