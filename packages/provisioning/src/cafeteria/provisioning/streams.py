"""Creates or updates the streams and durable consumers that the contracts and this module define.

Services have no right to create them, so they wait. `BusAdmin.watch` restores a lost store.
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
from cafeteria.provisioning.errors import ServerUnavailableError, StackError
from cafeteria.provisioning.plain_http import plain_http

MAX_ACK_PENDING = (
    10_000  # more than all replicas of a service hold in their batches; at this number delivery stops
)
MAX_AGE_S = 7 * 24 * 3600
DUPLICATE_WINDOW_S = 600
WATCH_INTERVAL_S = 1.0
ALARM_SHARE = 0.8  # of a stream's max_bytes
API_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 10.0
PING_TIMEOUT_S = 1
_NANOSECONDS = 1_000_000_000
_WIRE_KEY = "wire"
_NOT_FOUND = frozenset({10059, 10014})  # stream, consumer: the server's own error codes

logger = logging.getLogger(__name__)


class BusAdminError(StackError):
    """NATS refused a request of the JetStream API; `code` is the server's error code."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(f"NATS refused {refusal}.")
        self.code = refusal.error.err_code


def stream_config(stream: Stream, *, max_bytes: int) -> dict[str, Any]:
    return {
        "name": stream.name,
        "subjects": list(stream.subjects),
        "storage": "file",
        "retention": "limits",  # with the other policies the server forgets message ids at a restart
        "discard": "old",  # publishers notice dropped unread messages and publish them again
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
        "max_deliver": -1,  # a consumer retries a failed message and stores an undecodable one as a dead letter
        "max_ack_pending": MAX_ACK_PENDING,
        "replay_policy": "instant",
    }


def reader_config(name: str) -> dict[str, Any]:
    """A reader resets its consumer to a sequence before it reads, and stores its own position."""
    return {
        "durable_name": name,
        "name": name,
        "deliver_policy": "all",
        "ack_policy": "none",
        "max_deliver": -1,
        "replay_policy": "instant",
    }


def consumer_configs(stream: str) -> list[dict[str, Any]]:
    """Return the configuration of every consumer of the stream; no service may create one."""
    durables = [durable_config(durable) for durable in DURABLES if durable.stream == stream]
    names = [name for readers in READERS if readers.stream == stream for name in readers.names]
    return durables + [reader_config(name) for name in names]


class BusAdmin:
    """The administrator's connection to NATS, a context manager. It reconnects without limit."""

    def __init__(self, admin_url: str, *, stream_max_bytes: int) -> None:
        self._url = urlsplit(admin_url)
        self._stream_max_bytes = stream_max_bytes
        self._client = BusClient()
        self._api = JetStreamApi(self._client, timeout_s=API_TIMEOUT_S)
        self._last_error = "no answer"
        self._nearly_full: set[str] = set()

    async def __aenter__(self) -> Self:
        """Connect. Raises `ServerUnavailableError` if there is no login within CONNECT_TIMEOUT_S."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connect()
        except TimeoutError:
            await self._client.close()
            address = host_and_port(self._url, default_port=4222)
            raise ServerUnavailableError(
                f"NATS at {address} accepted no login of {self._user}: {self._last_error}."
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def connected(self) -> None:
        """Wait until the server answers a ping. Raises TimeoutError after CONNECT_TIMEOUT_S.

        The server may have closed the connection of a process that was paused; requests before the client notices get
        no reply.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while True:
                with suppress(nats.errors.Error, TimeoutError):
                    return await self._client.flush(timeout=PING_TIMEOUT_S)

    async def ensure(self) -> list[str]:
        """Create or update every stream and durable; return the names of those created or changed.

        Raises `StackError` when the server refuses a change, such as another storage type.
        """
        changed = []
        for stream in STREAMS:
            changed += await self._ensure_stream(stream)
            changed += await self._ensure_consumers(stream.name)
        return changed

    async def watch(self) -> None:
        """Restore missing streams and durables every WATCH_INTERVAL_S until cancelled."""
        while True:
            try:
                if changed := await self.ensure():
                    logger.warning("made on the bus: %s", ", ".join(changed))
            except (nats.errors.Error, TimeoutError):
                pass  # the server does not answer; the next round tries again
            except Exception:  # nothing else restores streams, so the watch survives any error
                logger.exception("the streams could not be checked; the next check follows in a second")
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def purge(self) -> None:
        """Remove every stored message. It skips empty streams, because purging one costs as much as a full one."""
        for stream in STREAMS:
            info = await self._info(f"STREAM.INFO.{stream.name}")
            if info and info["state"]["messages"]:
                await self._request(f"STREAM.PURGE.{stream.name}")

    async def _connect(self) -> None:
        await self._client.connect(
            f"nats://{host_and_port(self._url, default_port=4222)}",
            user=self._user,
            password=unquote(self._url.password or ""),
            name="cafeteria-bootstrap",
            inbox_prefix=inbox_prefix(ADMIN).encode(),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,  # type: ignore[arg-type]  # nats-py annotates int and accepts fractions of a second
            ping_interval=2,
            error_cb=self._record_error,
        )

    @property
    def _user(self) -> str:
        return unquote(self._url.username or ADMIN)

    async def _record_error(self, error: Exception) -> None:
        """Record the error, which nats-py would log with a traceback. Later errors do not replace a refused login."""
        if "authorization" not in self._last_error.lower():
            self._last_error = str(error) or repr(error)

    async def _ensure_stream(self, stream: Stream) -> list[str]:
        """Update the stream, and purge it if its messages have an earlier release's format, which no service can read.

        The services publish undelivered messages again from their tables.
        """
        wanted = stream_config(stream, max_bytes=self._stream_max_bytes)
        info = await self._info(f"STREAM.INFO.{stream.name}")
        if info:
            self._warn_if_nearly_full(stream.name, used=info["state"]["bytes"])
        if info and _contains(info["config"], wanted):
            return []
        if info and (info["config"].get("metadata") or {}).get(_WIRE_KEY) != WIRE:
            await self._request(f"STREAM.PURGE.{stream.name}")
        verb = "UPDATE" if info else "CREATE"
        await self._request(f"STREAM.{verb}.{stream.name}", wanted)
        return [f"stream {stream.name}"]

    def _warn_if_nearly_full(self, name: str, *, used: int) -> None:
        """Warn once that a stream is nearly full, and again only after it was below the share in between."""
        if used <= self._stream_max_bytes * ALARM_SHARE:
            self._nearly_full.discard(name)
        elif name not in self._nearly_full:
            self._nearly_full.add(name)
            share = 100 * used // self._stream_max_bytes
            logger.warning("stream %s is %d %% full: its oldest messages will be dropped", name, share)

    async def _ensure_consumers(self, stream: str) -> list[str]:
        """One request lists all consumers: a stream has far fewer than one page of the reply holds."""
        listed = await self._request(f"CONSUMER.LIST.{stream}")
        configs = {each["name"]: each["config"] for each in listed["consumers"]}
        changed = []
        for wanted in consumer_configs(stream):
            name = wanted["name"]
            if _contains(configs.get(name, {}), wanted):
                continue
            filters = f".{wanted['filter_subject']}" if "filter_subject" in wanted else ""
            request = {"stream_name": stream, "config": wanted}
            await self._request(f"CONSUMER.CREATE.{stream}.{name}{filters}", request)
            changed.append(f"durable {stream}/{name}")
        return changed

    async def _info(self, subject: str) -> dict[str, Any] | None:
        try:
            return await self._request(subject)
        except BusAdminError as error:
            if error.code in _NOT_FOUND:
                return None
            raise

    async def _request(self, subject: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            return await self._api.ask(subject, request, answer=dict[str, Any])
        except Refused as refusal:
            raise BusAdminError(refusal) from None


def _contains(config: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether `config` has every wanted value; the server adds keys of its own, in metadata too."""
    return all(
        _contains(config.get(key) or {}, value) if isinstance(value, Mapping) else config.get(key) == value
        for key, value in wanted.items()
    )


async def require_synchronous(monitor_url: str) -> None:
    """Raise `StackError` unless the server flushes every message before it acknowledges it.

    Raises `ServerUnavailableError` when the monitoring address does not answer.
    """
    try:
        async with plain_http(timeout_s=API_TIMEOUT_S) as client:
            answer = await client.get(f"{monitor_url}/jsz", params={"config": "1"})
    except httpx.HTTPError:
        raise ServerUnavailableError(f"NATS' monitoring at {monitor_url} does not answer.") from None
    if not answer.json().get("config", {}).get("sync_always"):
        raise StackError(
            "NATS does not flush messages before it acknowledges them, so a power cut would lose some: "
            "set `sync_interval: always` in its jetstream block."
        )
