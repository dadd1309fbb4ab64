"""One student as the system meets them: impatient, on a bad network, and never sending an order twice under two keys.

A request is repeated under its key until a final answer comes; a stream is taken up again where it broke.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any
from uuid import UUID

import aiohttp
import msgspec

from cafeteria.contracts.gateway import Order, OrderLine, PlaceOrder
from cafeteria.contracts.identity import Login, Tokens
from cafeteria.contracts.notification import OrderStatusEvent
from cafeteria.rush.history import Exchange, History, Sighting, Wish

FINAL_STATUSES = frozenset({200, 201, 400, 401, 403, 404, 409, 422})
PAUSE_MIN_S, PAUSE_MAX_S = 0.1, 0.8  # before a repeat, so that repeats of many students spread out
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_read=40)  # a comment comes every 15 s

JSON = {"Content-Type": "application/json"}

_ENCODE = msgspec.json.Encoder().encode
_TOKENS = msgspec.json.Decoder(Tokens)
_ORDER = msgspec.json.Decoder(Order)
_EVENT = msgspec.json.Decoder(OrderStatusEvent)


class Urls(msgspec.Struct, frozen=True, kw_only=True):
    """Where the services are; several gateways or notifications are taken in turn."""

    identity: str
    gateways: tuple[str, ...]
    notifications: tuple[str, ...]


class Student:
    """Records all that it sends and sees in `history`."""

    def __init__(
        self,
        student_id: str,
        *,
        http: aiohttp.ClientSession,
        urls: Urls,
        history: History,
        chance: random.Random,
        began_at: float,
    ) -> None:
        self.student_id = student_id
        self._http = http
        self._urls = urls
        self._history = history
        self._chance = chance
        self._began_at = began_at
        self._token = ""

    def now_s(self) -> float:
        return monotonic() - self._began_at

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    async def log_in(self, password: str, *, deadline_s: float = 30) -> None:
        """Raises TimeoutError when nobody answers with tokens in time."""
        body = _ENCODE(Login(student_id=self.student_id, password=password))
        async with asyncio.timeout(deadline_s):
            while True:
                status, answer, _ = await self._send("POST", f"{self._urls.identity}/v1/login", body, JSON)
                if status == 200:  # noqa: PLR2004 - HTTP
                    self._token = _TOKENS.decode(answer).access_token
                    return
                await self._pause()

    async def order(self, lines: tuple[OrderLine, ...], *, key: str, deadline_s: float = 120) -> Exchange:
        """Send until a final answer comes; the last exchange is returned. Raises TimeoutError."""
        body = _ENCODE(PlaceOrder(lines=lines))
        async with asyncio.timeout(deadline_s):
            while True:
                exchange = await self.order_once(body, lines=lines, key=key)
                if exchange.status in FINAL_STATUSES:
                    return exchange
                await self._pause()

    async def order_once(self, body: bytes, *, lines: tuple[OrderLine, ...], key: str) -> Exchange:
        """One request, whatever comes of it."""
        headers = {"Idempotency-Key": key, **JSON, **self.authorization}
        return await self._exchange(
            "POST", f"{self._gateway()}/v1/orders", body, headers, wish=Wish.ORDER, key=key, lines=lines
        )

    async def cancel(self, order_id: UUID, *, deadline_s: float = 60) -> Exchange:
        """Ask until a final answer comes. Raises TimeoutError."""
        async with asyncio.timeout(deadline_s):
            while True:
                exchange = await self._exchange(
                    "POST",
                    f"{self._gateway()}/v1/orders/{order_id}/cancel",
                    b"",
                    self.authorization,
                    wish=Wish.CANCEL,
                    order_id=order_id,
                )
                if exchange.status in FINAL_STATUSES and b"order-undecided" not in exchange.body:
                    return exchange
                await self._pause()

    async def read(self, order_id: UUID) -> Exchange:
        return await self._exchange(
            "GET",
            f"{self._gateway()}/v1/orders/{order_id}",
            b"",
            self.authorization,
            wish=Wish.READ,
            order_id=order_id,
        )

    async def follow(self, *, client: int, leave_after_s: tuple[float, float] | None = None) -> None:
        """Follow all orders until cancelled, reconnecting where a connection ends.

        With `leave_after_s` each connection is dropped after a random time between the two.
        """
        last_id: str | None = None
        connection = 0
        while True:
            patience = None if leave_after_s is None else self._chance.uniform(*leave_after_s)
            try:
                async with asyncio.timeout(patience):
                    async for event_id, data in self._events(last_id):
                        last_id = event_id
                        if data:
                            self._saw(data, event_id, client=client, connection=connection)
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                pass
            connection += 1
            await self._pause()

    def _saw(self, data: bytes, event_id: str, *, client: int, connection: int) -> None:
        event = _EVENT.decode(data)
        self._history.sightings.append(
            Sighting(
                student_id=self.student_id,
                client=client,
                connection=connection,
                seen_at_s=self.now_s(),
                event_id=event_id,
                order_id=event.order_id,
                status=event.status,
                version=event.version,
            )
        )

    async def _events(self, last_id: str | None) -> AsyncIterator[tuple[str, bytes]]:
        """Blocks of one connection: (id, data); data is empty for an id-only block."""
        headers = dict(self.authorization)
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        url = f"{self._chance.choice(self._urls.notifications)}/v1/events"
        async with self._http.get(url, headers=headers, timeout=STREAM_TIMEOUT) as response:
            response.raise_for_status()
            event_id, data = "", b""
            async for line in response.content:
                field, _, value = line.rstrip(b"\r\n").partition(b": ")
                if field == b"id":
                    event_id = value.decode()
                elif field == b"data":
                    data = value
                elif not field and event_id:
                    yield event_id, data
                    event_id, data = "", b""

    def _gateway(self) -> str:
        return self._chance.choice(self._urls.gateways)

    async def _exchange(
        self, method: str, url: str, body: bytes, headers: dict[str, str], *, wish: Wish, **facts: Any
    ) -> Exchange:
        sent_at_s = self.now_s()
        status, answer, replayed = await self._send(method, url, body, headers)
        if wish is Wish.ORDER and status in {201, 202}:
            facts["order_id"] = _ORDER.decode(answer).id
        exchange = Exchange(
            wish=wish,
            student_id=self.student_id,
            sent_at_s=sent_at_s,
            ended_at_s=self.now_s(),
            status=status,
            body=answer,
            replayed=replayed,
            **facts,
        )
        self._history.exchanges.append(exchange)
        return exchange

    async def _send(
        self, method: str, url: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int | None, bytes, bool]:
        """Status and body; (None, b"") where no whole answer came."""
        try:
            async with self._http.request(
                method, url, data=body or None, headers=headers, timeout=REQUEST_TIMEOUT
            ) as response:
                return response.status, await response.read(), "Idempotent-Replayed" in response.headers
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return None, b"", False

    async def _pause(self) -> None:
        await asyncio.sleep(self._chance.uniform(PAUSE_MIN_S, PAUSE_MAX_S))
