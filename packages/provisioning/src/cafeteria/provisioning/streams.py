"""The bus's streams and durable consumers, created or updated to what the contracts and this file say.

Services may not create them, and wait. A store that is lost is made anew by the next look (`keep`).
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import httpx
import nats.errors

from cafeteria.chassis.messaging.jetstream_api import JetStreamApi, Refused
from cafeteria.chassis.messaging.nats_client import BusClient
from cafeteria.contracts.channels import ACK_WAIT_S, WIRE, Durable, Stream
from cafeteria.contracts.subjects import DURABLES, READERS, STREAMS
from cafeteria.provisioning.addresses import host_and_port
from cafeteria.provisioning.bus_permissions import inbox_prefix
from cafeteria.provisioning.credentials import ADMIN
from cafeteria.provisioning.errors import ServerAwayError, StackError
from cafeteria.provisioning.plain_http import plain_http

MAX_ACK_PENDING = (
    10_000  # above what all replicas of a service hold in their batches; reached, delivery stops
)
MAX_AGE_S = 7 * 24 * 3600
DUPLICATE_WINDOW_S = 600
WATCH_INTERVAL_S = 1.0
ALARM_SHARE = 0.8  # of a stream's room
API_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 10.0
PING_TIMEOUT_S = 1
_NANOSECONDS = 1_000_000_000
_WIRE_KEY = "wire"
_NOT_FOUND = frozenset({10059, 10014})  # stream, consumer: the server's own error codes

logger = logging.getLogger(__name__)


class BusAdminError(StackError):
    """The server refused; `code` is its own error code."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(f"NATS refused {refusal}.")
        self.code = refusal.error.err_code


def stream_config(stream: Stream, *, max_bytes: int) -> dict[str, Any]:
    return {
        "name": stream.name,
        "subjects": list(stream.subjects),
        "storage": "file",
        "retention": "limits",  # with others the server forgets at a restart which ids it has seen
        "discard": "old",  # what is dropped unread the senders notice and send again
        "max_bytes": max_bytes,
        "max_age": MAX_AGE_S * _NANOSECONDS,
        "duplicate_window": DUPLICATE_WINDOW_S * _NANOSECONDS,
        "num_replicas": 1,
        "metadata": {_WIRE_KEY: WIRE},
    }


def durable_config(durable: Durable) -> dict[str, Any]:
    return {
        "durable_name": durable.name,
        "name": durable.name,
        "filter_subject": durable.filter_subject,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": ACK_WAIT_S * _NANOSECONDS,
        "max_deliver": -1,  # what cannot be handled now is handled later; the undecodable is set aside
        "max_ack_pending": MAX_ACK_PENDING,
        "replay_policy": "instant",
    }


def reader_config(name: str) -> dict[str, Any]:
    """Whoever uses it says first where to begin, and keeps itself what it has read."""
    return {
        "durable_name": name,
        "name": name,
        "deliver_policy": "all",
        "ack_policy": "none",
        "max_deliver": -1,
        "replay_policy": "instant",
    }


def consumer_configs(stream: str) -> list[dict[str, Any]]:
    """Everything that reads the stream: no service may make a consumer."""
    durables = [durable_config(durable) for durable in DURABLES if durable.stream == stream]
    names = [name for readers in READERS if readers.stream == stream for name in readers.names]
    return durables + [reader_config(name) for name in names]


class BusAdmin:
    """The bootstrap's connection, as the administrator. Use as a context manager; it reconnects for ever."""

    def __init__(self, admin_url: str, *, stream_max_bytes: int) -> None:
        self._url = urlsplit(admin_url)
        self._stream_max_bytes = stream_max_bytes
        self._client = BusClient()
        self._api = JetStreamApi(self._client, timeout_s=API_TIMEOUT_S)
        self._last_error = "no answer"
        self._filling: set[str] = set()

    async def __aenter__(self) -> Self:
        """Raises `ServerAwayError` when it is not let in soon; later it waits for the server for ever."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connect()
        except TimeoutError:
            await self._client.close()
            address = host_and_port(self._url, default_port=4222)
            raise ServerAwayError(
                f"NATS at {address} did not let {self._user} in: {self._last_error}."
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def connected(self) -> None:
        """Wait until the server answers. After a standstill of this process it may have ended the connection, and
        what is asked before that is noticed has no answer. Raises TimeoutError.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while True:
                with suppress(nats.errors.Error, TimeoutError):
                    return await self._client.flush(timeout=PING_TIMEOUT_S)

    async def ensure(self) -> list[str]:
        """Make every stream and durable what it should be; returns what was created or changed.

        Raises `StackError` when the server refuses a change, such as another storage type.
        """
        changed = []
        for stream in STREAMS:
            changed += await self._ensure_stream(stream)
            changed += await self._ensure_consumers(stream.name)
        return changed

    async def keep(self) -> None:
        """Look every second, for ever, and make what is missing: a store may be lost while we run."""
        while True:
            try:
                if changed := await self.ensure():
                    logger.warning("made on the bus: %s", ", ".join(changed))
            except (nats.errors.Error, TimeoutError):
                pass  # the server is away; the next look will tell
            except Exception:  # nobody else makes what is missing: the watch outlives any surprise
                logger.exception("the bus is not as it should be")
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def purge(self) -> None:
        """Remove every stored message. Purging an empty stream would cost the server as much as a full one."""
        for stream in STREAMS:
            info = await self._info(f"STREAM.INFO.{stream.name}")
            if info and info["state"]["messages"]:
                await self._ask(f"STREAM.PURGE.{stream.name}")

    async def _connect(self) -> None:
        await self._client.connect(
            f"nats://{host_and_port(self._url, default_port=4222)}",
            user=self._user,
            password=unquote(self._url.password or ""),
            name="cafeteria-bootstrap",
            inbox_prefix=inbox_prefix(ADMIN).encode(),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,  # type: ignore[arg-type]  # any number of seconds works
            ping_interval=2,
            error_cb=self._note,
        )

    @property
    def _user(self) -> str:
        return unquote(self._url.username or ADMIN)

    async def _note(self, error: Exception) -> None:
        """nats-py logs a traceback for each failed attempt otherwise. A refusal says more than what follows it."""
        if "authorization" not in self._last_error.lower():
            self._last_error = str(error) or repr(error)

    async def _ensure_stream(self, stream: Stream) -> list[str]:
        """What a stream holds in the form of an earlier release nobody reads any more: it is removed, and the services
        send again what was not delivered, for their tables are the record.
        """
        wanted = stream_config(stream, max_bytes=self._stream_max_bytes)
        info = await self._info(f"STREAM.INFO.{stream.name}")
        if info:
            self._watch_room(stream.name, used=info["state"]["bytes"])
        if info and _holds(info["config"], wanted):
            return []
        if info and _wire_of(info["config"]) != WIRE:
            await self._ask(f"STREAM.PURGE.{stream.name}")
        verb = "UPDATE" if info else "CREATE"
        await self._ask(f"STREAM.{verb}.{stream.name}", wanted)
        return [f"stream {stream.name}"]

    def _watch_room(self, name: str, *, used: int) -> None:
        """Say once that a stream fills up, and again only after it has not been so."""
        if used <= self._stream_max_bytes * ALARM_SHARE:
            self._filling.discard(name)
        elif name not in self._filling:
            self._filling.add(name)
            share = 100 * used // self._stream_max_bytes
            logger.warning("stream %s is %d %% full: its oldest messages will be dropped", name, share)

    async def _ensure_consumers(self, stream: str) -> list[str]:
        """All are looked at by one question; a stream has far fewer than an answer holds."""
        listed = await self._ask(f"CONSUMER.LIST.{stream}")
        configs = {each["name"]: each["config"] for each in listed["consumers"]}
        changed = []
        for wanted in consumer_configs(stream):
            name = wanted["name"]
            if _holds(configs.get(name, {}), wanted):
                continue
            filters = f".{wanted['filter_subject']}" if "filter_subject" in wanted else ""
            request = {"stream_name": stream, "config": wanted}
            await self._ask(f"CONSUMER.CREATE.{stream}.{name}{filters}", request)
            changed.append(f"durable {stream}/{name}")
        return changed

    async def _info(self, subject: str) -> dict[str, Any] | None:
        try:
            return await self._ask(subject)
        except BusAdminError as error:
            if error.code in _NOT_FOUND:
                return None
            raise

    async def _ask(self, subject: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            return await self._api.ask(subject, request, answer=dict[str, Any])
        except Refused as refusal:
            raise BusAdminError(refusal) from None


def _holds(config: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """The server adds keys of its own, to metadata too."""
    return all(
        _holds(config.get(key) or {}, value) if isinstance(value, Mapping) else config.get(key) == value
        for key, value in wanted.items()
    )


def _wire_of(config: Mapping[str, Any]) -> str | None:
    return (config.get("metadata") or {}).get(_WIRE_KEY)


async def require_synchronous(monitor_url: str) -> None:
    """Raise `StackError` unless the server flushes every message before it acknowledges it."""
    try:
        async with plain_http(timeout_s=API_TIMEOUT_S) as client:
            answer = await client.get(f"{monitor_url}/jsz", params={"config": "1"})
    except httpx.HTTPError:
        raise ServerAwayError(f"NATS' monitoring at {monitor_url} does not answer.") from None
    if not answer.json().get("config", {}).get("sync_always"):
        raise StackError(
            "NATS does not flush messages before it acknowledges them, so a power cut would lose some: "
            "set `sync_interval: always` in its jetstream block."
        )
