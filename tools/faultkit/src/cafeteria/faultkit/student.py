"""One load client: an impatient student on a bad network, who never sends an order under two keys.

The client repeats a request under its key until a final answer comes, and resumes a stream where it broke.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp
import msgspec

from cafeteria.contracts.gateway import Order, OrderLine, PlaceOrder
from cafeteria.contracts.identity import Login, Tokens
from cafeteria.contracts.notification import OrderStatusEvent
from cafeteria.contracts.values import Pickup
from cafeteria.faultkit.history import Exchange, History, Intent, ObservedStatus

FINAL_STATUSES = frozenset({200, 201, 400, 403, 404, 409, 422})
PAUSE_MIN_S, PAUSE_MAX_S = 0.1, 0.8  # before a repeat, so that repeats of many students spread out
PATIENCE_S = 10.0  # a request that takes longer is given up
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=40)  # a comment comes every 15 s
UNAUTHORIZED = 401

JSON = {"Content-Type": "application/json"}

_ENCODE = msgspec.json.Encoder().encode
_TOKENS = msgspec.json.Decoder(Tokens)
_ORDER = msgspec.json.Decoder(Order)
_EVENT = msgspec.json.Decoder(OrderStatusEvent)


class Urls(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of the services; each request draws one of several gateways or notification services."""

    identity: str
    gateways: tuple[str, ...]
    notifications: tuple[str, ...]


class _Answer(NamedTuple):
    """`status` is None where no whole answer came."""

    status: int | None = None
    body: bytes = b""
    replayed: bool = False
    retry_after_s: int | None = None


class Student:
    """A load client that records everything it sends and receives in `history`.

    One that was given a `token` needs no login, and does not renew it. `pause_s` are the least and the most seconds
    before a repeat.
    """

    def __init__(
        self,
        student_id: str,
        *,
        http: aiohttp.ClientSession,
        urls: Urls,
        history: History,
        chance: random.Random,
        began_at: float,
        token: str = "",
        pause_s: tuple[float, float] = (PAUSE_MIN_S, PAUSE_MAX_S),
    ) -> None:
        self.student_id = student_id
        self._http = http
        self._urls = urls
        self._history = history
        self._chance = chance
        self._began_at = began_at
        self._password = ""
        self._token = token
        self._pause_s = pause_s
        self._renewing = asyncio.Lock()
        self._streams: set[aiohttp.ClientResponse] = set()
        self.secrets: list[str] = []
        """Values that no log may contain: each token's signature, and the refresh tokens."""

    def now_s(self) -> float:
        return monotonic() - self._began_at

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    async def log_in(self, password: str, *, deadline_s: float = 30) -> None:
        """Log in, repeating until tokens arrive. Raises TimeoutError."""
        self._password = password
        body = _ENCODE(Login(student_id=self.student_id, password=password))
        async with asyncio.timeout(deadline_s):
            while True:
                url = f"{self._urls.identity}/v1/login"
                answer = await self._send("POST", url, body, JSON, patience_s=PATIENCE_S)
                if answer.status == 200:  # noqa: PLR2004 - HTTP
                    tokens = _TOKENS.decode(answer.body)
                    self._token = tokens.access_token
                    self.secrets += [self._token.rpartition(".")[2], tokens.refresh_token]
                    return
                await self._pause()

    async def _renew(self, refused: dict[str, str]) -> None:
        """Log in again after a token expired, once for all requests refused with it. Raises TimeoutError."""
        async with self._renewing:
            if self._password and refused == self.authorization:
                await self.log_in(self._password, deadline_s=120)

    async def order(self, lines: tuple[OrderLine, ...], *, key: str, deadline_s: float = 120) -> Exchange:
        """Send until a final answer comes; return the last exchange. Raises TimeoutError."""
        async with asyncio.timeout(deadline_s):
            while True:
                exchange = await self.order_once(lines, key=key)
                if exchange.status in FINAL_STATUSES:
                    return exchange
                await self._pause()

    async def order_once(
        self, lines: tuple[OrderLine, ...], *, key: str, patience_s: float = PATIENCE_S
    ) -> Exchange:
        """One request, whatever comes of it."""
        return await self._exchange(
            *("POST", f"{self._gateway()}/v1/orders", _ENCODE(PlaceOrder(lines=lines))),
            headers={"Idempotency-Key": key, **JSON},
            patience_s=patience_s,
            intent=Intent.ORDER,
            key=key,
            lines=lines,
        )

    async def cancel(self, order_id: UUID, *, deadline_s: float = 60) -> Exchange:
        """Ask until a final answer comes. Raises TimeoutError."""
        async with asyncio.timeout(deadline_s):
            while True:
                url = f"{self._gateway()}/v1/orders/{order_id}/cancel"
                exchange = await self._exchange("POST", url, b"", intent=Intent.CANCEL, order_id=order_id)
                if exchange.status in FINAL_STATUSES and b"order-undecided" not in exchange.body:
                    return exchange
                await self._pause()

    async def read(self, order_id: UUID) -> Exchange:
        url = f"{self._gateway()}/v1/orders/{order_id}"
        return await self._exchange("GET", url, b"", intent=Intent.READ, order_id=order_id)

    async def follow(
        self, *, client: int, leave_after_s: tuple[float, float] | None = None, order_id: UUID | None = None
    ) -> None:
        """Follow all orders, or one, until cancelled, reconnecting where a connection ends.

        With `leave_after_s` each connection is dropped after a random time between the two.
        """
        path = "/v1/events" if order_id is None else f"/v1/orders/{order_id}/events"
        last_id: str | None = None
        for connection in itertools.count():
            patience = None if leave_after_s is None else self._chance.uniform(*leave_after_s)
            authorization = self.authorization
            try:
                async with asyncio.timeout(patience):
                    async for event_id, data in self._events(path, last_id, authorization):
                        last_id = event_id
                        if data:
                            self._saw(data, event_id, client=client, connection=connection)
            except aiohttp.ClientResponseError as refusal:
                if refusal.status == UNAUTHORIZED:
                    await self._renew(authorization)
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                pass
            await self._pause()

    def drop_streams(self) -> int:
        """Break every open stream; each reconnects by itself. Return how many were open."""
        streams = list(self._streams)
        for response in streams:
            response.close()
        return len(streams)

    def _saw(self, data: bytes, event_id: str, *, client: int, connection: int) -> None:
        event = _EVENT.decode(data)
        self._history.observed_statuses.append(
            ObservedStatus(
                student_id=self.student_id,
                client=client,
                connection=connection,
                seen_at_s=self.now_s(),
                event_id=event_id,
                order_id=event.order_id,
                status=event.status,
                version=event.version,
                code=event.pickup.code if isinstance(event.pickup, Pickup) else None,
            )
        )

    async def _events(
        self, path: str, last_id: str | None, authorization: dict[str, str]
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the blocks of one connection as (id, data); data is empty for an id-only block."""
        headers = dict(authorization)
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        url = f"{self._chance.choice(self._urls.notifications)}{path}"
        async with self._http.get(url, headers=headers, timeout=STREAM_TIMEOUT) as response:
            response.raise_for_status()
            self._streams.add(response)
            try:
                async for block in _blocks(response.content):
                    yield block
            finally:
                self._streams.discard(response)

    def _gateway(self) -> str:
        return self._chance.choice(self._urls.gateways)

    async def _exchange(
        self,
        method: str,
        url: str,
        body: bytes,
        *,
        headers: dict[str, str] | None = None,
        patience_s: float = PATIENCE_S,
        **facts: Any,
    ) -> Exchange:
        sent_at_s = self.now_s()
        authorization = self.authorization
        answer = await self._send(
            method, url, body, {**(headers or {}), **authorization}, patience_s=patience_s
        )
        if facts["intent"] is Intent.ORDER and answer.status in {201, 202}:
            facts["order_id"] = _ORDER.decode(answer.body).id
        exchange = Exchange(
            student_id=self.student_id,
            sent_at_s=sent_at_s,
            ended_at_s=self.now_s(),
            **answer._asdict(),
            **facts,
        )
        self._history.exchanges.append(exchange)
        if answer.status == UNAUTHORIZED:
            await self._renew(authorization)
        return exchange

    async def _send(
        self, method: str, url: str, body: bytes, headers: dict[str, str], *, patience_s: float
    ) -> _Answer:
        try:
            async with (
                asyncio.timeout(patience_s),
                self._http.request(method, url, data=body or None, headers=headers) as response,
            ):
                return _Answer(
                    status=response.status,
                    body=await response.read(),
                    replayed="Idempotent-Replayed" in response.headers,
                    retry_after_s=_seconds(response.headers.get("Retry-After")),
                )
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return _Answer()

    async def _pause(self) -> None:
        await asyncio.sleep(self._chance.uniform(*self._pause_s))


def _seconds(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


async def _blocks(lines: aiohttp.StreamReader) -> AsyncIterator[tuple[str, bytes]]:
    """Yield whole blocks that have an id; an incomplete block at the end of a broken connection is dropped."""
    event_id, data = "", b""
    async for line in lines:
        field, _, value = line.rstrip(b"\r\n").partition(b": ")
        if field == b"id":
            event_id = value.decode()
        elif field == b"data":
            data = value
        elif not field and event_id:
            yield event_id, data
            event_id, data = "", b""
