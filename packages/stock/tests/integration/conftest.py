"""Real services on real servers: requests arrive over NATS as from the gateway; an administrator reads the tables."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.stock import (
    ReleaseStock,
    ReserveOrders,
    ReserveStock,
    StockDecided,
    StockReleased,
)
from cafeteria.contracts.subjects import GATEWAY, RELEASE, RESERVE
from cafeteria.contracts.values import Line
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.stock.app import create_app
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers
from cafeteria.testkit.tokens import Tokens

DEADLINE_S = 20.0

_UNBALANCED = """
SELECT item_id, quantity, restocked, deducted FROM stock.inventory
CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS restocked FROM stock.restocks AS r
    WHERE r.item_id = inventory.item_id) AS incoming
CROSS JOIN LATERAL (SELECT coalesce(sum(quantity_deducted), 0) AS deducted FROM stock.stock_transactions AS t
    WHERE t.item_id = inventory.item_id) AS outgoing
WHERE restocked - quantity <> deducted
"""


class Undecided(Exception):
    """The reply has no decision on the order; the gateway asks again."""


class Stock:
    """One or several stock services, the gateway that asks them, and an administrator's connection."""

    def __init__(self, *, urls: list[str], bus: Bus, admin: asyncpg.Connection, operator: str) -> None:
        self.urls = urls
        self.bus = bus
        self.admin = admin
        self.web = plain_http(
            base_url=urls[0],
            headers={"Authorization": f"Bearer {operator}"},
            timeout_s=DEADLINE_S,
        )

    async def is_ready(self) -> bool:
        answers = [await self.web.get(f"{url}/health/ready") for url in self.urls]
        return all(answer.status_code == 200 for answer in answers)

    async def stock_up(self, quantity: int, *, name: str = "Haleem", price: str | Decimal = "120.00") -> UUID:
        answer = await self.web.post(
            "/v1/items", json={"name": name, "price": str(price), "quantity": quantity}
        )
        assert answer.status_code == 201, answer.text
        return UUID(answer.json()["id"])

    async def change(self, item_id: UUID, **changes: Any) -> dict[str, Any]:
        answer = await self.web.patch(f"/v1/items/{item_id}", json=changes)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def order(self, lines: dict[UUID, int], *, order_id: UUID | None = None, age_ms: int = 0) -> ReserveStock:
        return ReserveStock(
            order_id=order_id or new_id(),
            lines=tuple(Line(item_id=item_id, quantity=quantity) for item_id, quantity in lines.items()),
            age_ms=age_ms,
        )

    async def reserve(self, order: ReserveStock) -> StockDecided:
        """Reserve one order alone. Raises Undecided if the reply has no decision on it."""
        decisions = await self.reserve_all([order])
        if not decisions:
            raise Undecided
        return decisions[0]

    async def reserve_all(self, orders: Sequence[ReserveStock]) -> list[StockDecided]:
        """Reserve the orders in one request."""
        return await self.bus.request_items(
            RESERVE, ReserveOrders(orders=tuple(orders)), deadline_s=DEADLINE_S
        )

    async def release(self, order_id: UUID) -> StockReleased:
        return await self.bus.request(RELEASE, ReleaseStock(order_id=order_id), deadline_s=DEADLINE_S)

    def check_problem(self, answer: httpx.Response, sent: Any) -> None:
        """The request is refused with 400 and a problem document. `sent` shows in the failure's message."""
        assert answer.status_code == 400, sent
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert answer.json()["type"] == "/problems/invalid-request"

    async def quantity(self, item_id: UUID) -> int:
        return int(
            await self.admin.fetchval("SELECT quantity FROM stock.inventory WHERE item_id = $1", item_id)
        )

    async def ledger_of(self, order_id: UUID) -> list[tuple[str, int]]:
        """The order's entries, as (kind, quantity), deductions first."""
        rows = await self.admin.fetch(
            "SELECT kind, quantity_deducted FROM stock.stock_transactions WHERE order_id = $1 ORDER BY kind",
            order_id,
        )
        return [(row["kind"], row["quantity_deducted"]) for row in rows]

    async def check_balance(self) -> None:
        """Per item: what came in, less what is there, is what went out; in one snapshot."""
        assert await self.admin.fetch(_UNBALANCED) == []


OpenStock = Callable[..., Awaitable[Stock]]


@pytest.fixture
def stock_settings(clean: None, service_settings: Callable[..., Any]) -> ServiceSettings:
    settings: ServiceSettings = service_settings("stock", ServiceSettings)
    return settings


@pytest.fixture
async def open_stock(
    stock_settings: ServiceSettings,
    servers: FixtureServers,
    service_settings: Callable[..., Any],
    serve: Callable[[ServiceApp], AbstractAsyncContextManager[str]],
    tokens: Tokens,
) -> AsyncIterator[OpenStock]:
    """Start this number of stock services; they stop when the test ends."""
    async with AsyncExitStack() as stack:

        async def open_with(*, services: int = 1) -> Stock:
            urls = [
                await stack.enter_async_context(serve(create_app(stock_settings))) for _ in range(services)
            ]
            bus = await stack.enter_async_context(
                Bus(service_settings("gateway", ServiceSettings), service=GATEWAY)
            )
            await bus.connected()
            admin = await asyncpg.connect(servers.postgres_admin_url)
            stack.push_async_callback(admin.close)
            stock = Stock(urls=urls, bus=bus, admin=admin, operator=tokens.operator())
            stack.push_async_callback(stock.web.aclose)
            await until(stock.is_ready)
            return stock

        yield open_with


@pytest.fixture
async def stock(open_stock: OpenStock) -> Stock:
    return await open_stock()


@pytest.fixture
async def two_stocks(open_stock: OpenStock) -> Stock:
    return await open_stock(services=2)
