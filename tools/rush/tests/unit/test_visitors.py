"""A visitor repeats an order as a person would, and a crowd counts what it has lost instead of assuming it."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.gateway import Order
from cafeteria.contracts.values import OrderStatus
from cafeteria.faultkit.student import Urls
from cafeteria.rush import visitors
from cafeteria.rush.visitors import Visitor, count_lost, figures_of, percentile

DISHES = [uuid4()]


class Gateway:
    """A gateway that answers what a test tells it to; it streams nothing."""

    def __init__(self) -> None:
        self.answers: list[web.Response] = []
        self.requests: list[tuple[str, str]] = []
        self.status: OrderStatus | None = None
        app = web.Application()
        app.router.add_post("/v1/orders", self._place)
        app.router.add_get("/v1/orders/{id}", self._read)
        self.server = TestServer(app)

    def answers_with(self, *answers: web.Response) -> None:
        self.answers[:] = answers

    async def _place(self, request: web.Request) -> web.Response:
        self.requests.append((request.headers["Idempotency-Key"], await request.text()))
        return self.answers.pop(0)

    async def _read(self, request: web.Request) -> web.Response:
        if self.status is None:
            return web.Response(status=404)
        return order(200, self.status, order_id=UUID(request.match_info["id"]))


def order(http_status: int, status: OrderStatus, *, order_id: UUID | None = None) -> web.Response:
    shown = Order(id=order_id or uuid4(), status=status, version=4, lines=(), total=None, created_at=now())
    return web.Response(status=http_status, body=msgspec.json.encode(shown))


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    async with gateway.server:
        yield gateway


@pytest.fixture
async def visitor(gateway: Gateway) -> AsyncIterator[Visitor]:
    url = str(gateway.server.make_url("")).rstrip("/")
    async with aiohttp.ClientSession() as http:
        urls = Urls(identity="", gateways=(url,), notifications=(url,))
        yield Visitor("visitor-001", "token", http=http, urls=urls)


def too_busy() -> web.Response:
    return web.Response(status=503, headers={"Retry-After": "0"})


async def test_who_is_told_to_come_again_sends_the_same_under_the_same_key(
    gateway: Gateway, visitor: Visitor
) -> None:
    gateway.answers_with(too_busy(), too_busy(), order(201, OrderStatus.READY))
    await visitor.order(DISHES, within_s=0)
    assert len(gateway.requests) == 3
    assert len(set(gateway.requests)) == 1
    figures = figures_of([visitor])
    assert (figures.placed, figures.accepted, figures.ready, figures.busy) == (1, 1, 1, 2)
    assert figures.p50_ms == figures.p95_ms
    assert figures.lost is None


@pytest.mark.parametrize("status", [401, 403, 409, 422])
async def test_a_refusal_is_the_end(gateway: Gateway, visitor: Visitor, status: int) -> None:
    gateway.answers_with(web.Response(status=status))
    await visitor.order(DISHES, within_s=0)
    figures = figures_of([visitor])
    assert (figures.placed, figures.accepted, figures.received, figures.refused) == (1, 0, 0, 1)
    assert await count_lost([visitor]) == 0


@pytest.mark.parametrize(
    ("status", "lost"),
    [(OrderStatus.READY, 0), (OrderStatus.COLLECTED, 0), (OrderStatus.REJECTED, 1), (None, 1)],
)
async def test_a_promise_that_is_not_kept_is_counted_as_lost(
    gateway: Gateway, visitor: Visitor, status: OrderStatus | None, lost: int
) -> None:
    gateway.answers_with(order(201, OrderStatus.READY))
    await visitor.order(DISHES, within_s=0)
    gateway.status = status
    assert await count_lost([visitor]) == lost


async def test_an_order_without_a_decision_may_be_refused_later(gateway: Gateway, visitor: Visitor) -> None:
    gateway.answers_with(order(202, OrderStatus.PENDING))
    await visitor._place(())
    assert figures_of([visitor]).received == 1
    gateway.status = OrderStatus.REJECTED
    assert await count_lost([visitor]) == 0
    assert figures_of([visitor]).refused == 1


async def test_what_cannot_be_asked_for_is_not_called_kept(
    gateway: Gateway, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.answers_with(order(201, OrderStatus.READY))
    await visitor.order(DISHES, within_s=0)
    await gateway.server.close()
    monkeypatch.setattr(visitors, "ASK_S", 0.2)
    assert await count_lost([visitor]) is None


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([3.0], 0.95, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.95, 95.0),
    ],
)
def test_a_percentile_is_one_of_the_values(values: Any, share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected
