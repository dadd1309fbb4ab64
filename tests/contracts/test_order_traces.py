"""Together the four services tell an operator all that happened to an order, each from its own tables."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from cafeteria.contracts import gateway, ops, subjects
from cafeteria.contracts.gateway import OrderLine
from cafeteria.provisioning.plain_http import plain_http

TRACING = (subjects.GATEWAY, subjects.STOCK, subjects.KITCHEN, subjects.NOTIFICATION)
WAY = ("PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY")
STUDENT, ANOTHER = "210041101", "210041102"
TIMEOUT_S = 20.0


class Canteen:
    """A student who orders, and an operator who asks every service about an order."""

    def __init__(self, urls: dict[str, str], tokens: Any) -> None:
        self.web = {name: plain_http(base_url=urls[name], timeout_s=TIMEOUT_S) for name in TRACING}
        self._students = {name: tokens.header(tokens.student(name)) for name in (STUDENT, ANOTHER)}
        self.operator = tokens.header(tokens.operator())

    async def order(self, item_id: UUID, quantity: int = 1, *, student: str = STUDENT) -> httpx.Response:
        body = msgspec.json.encode(gateway.PlaceOrder(lines=(OrderLine(item_id=item_id, quantity=quantity),)))
        headers = {
            **self._students[student],
            "Idempotency-Key": uuid4().hex,
            "Content-Type": "application/json",
        }
        return await self.web[subjects.GATEWAY].post("/v1/orders", content=body, headers=headers)

    async def trace(self, service: str, order_id: UUID) -> tuple[ops.TraceFact, ...]:
        answer = await self.web[service].get(f"/v1/ops/{service}/orders/{order_id}", headers=self.operator)
        assert answer.status_code == httpx.codes.OK, answer.text
        trace = msgspec.json.decode(answer.content, type=ops.OrderTrace)
        assert (trace.service, trace.order_id) == (service, order_id)
        assert sorted(fact.at for fact in trace.facts) == [fact.at for fact in trace.facts]
        return trace.facts

    async def told(self, order_id: UUID) -> dict[str, list[str]]:
        return {name: [fact.what for fact in await self.trace(name, order_id)] for name in TRACING}


@pytest.fixture
async def canteen(all_services: dict[str, str], tokens: Any) -> AsyncIterator[Canteen]:
    canteen = Canteen(all_services, tokens)
    yield canteen
    for web in canteen.web.values():
        await web.aclose()


async def test_the_services_tell_the_way_of_an_order_to_ready(
    canteen: Canteen, add_items: Any, wait_until: Any
) -> None:
    item_id, began = uuid4(), datetime.now(UTC)
    await add_items((OrderLine(item_id=item_id, quantity=1),))
    order_id = UUID((await canteen.order(item_id, 2)).json()["id"])

    async def is_ready() -> bool:
        told = await canteen.told(order_id)
        return "ready" in told[subjects.GATEWAY] and told[subjects.NOTIFICATION].count("logged") == len(WAY)

    await wait_until(is_ready)
    told = await canteen.told(order_id)
    states = [what for what in told[subjects.GATEWAY] if what != "kitchen-seen"]
    assert states == ["received", "stock-verified", "in-kitchen", "ready"]
    assert told[subjects.GATEWAY].count("kitchen-seen") == 1
    assert sorted(told[subjects.STOCK]) == ["deducted", "reserved"]
    assert told[subjects.KITCHEN] == ["received", "started", "ready"]
    received, *_ = await canteen.trace(subjects.GATEWAY, order_id)
    assert received.detail == {"student_id": STUDENT, "lines": "1"}
    assert began <= received.at <= datetime.now(UTC)
    details = [fact.detail for fact in await canteen.trace(subjects.STOCK, order_id)]
    assert {"item_id": str(item_id), "portions": "2"}.items() <= max(details, key=len).items()
    logged = [fact.detail for fact in await canteen.trace(subjects.NOTIFICATION, order_id)]
    assert logged == [{"status": status} for status in WAY]


async def test_a_refusal_has_its_reason_and_what_was_never_heard_of_has_no_facts(canteen: Canteen) -> None:
    refused = await canteen.order(uuid4())
    assert refused.status_code == httpx.codes.CONFLICT
    order_id = UUID(refused.json()["order_id"])
    for service in (subjects.GATEWAY, subjects.STOCK):
        last = (await canteen.trace(service, order_id))[-1]
        assert (last.what, last.detail) == ("rejected", {"reason": "UNKNOWN_ITEM"})
    assert await canteen.trace(subjects.KITCHEN, order_id) == ()
    assert await canteen.told(uuid4()) == {name: [] for name in TRACING}


async def test_only_the_asked_students_orders_are_listed_and_a_wrong_id_is_refused(
    canteen: Canteen, add_items: Any
) -> None:
    item_id = uuid4()
    await add_items((OrderLine(item_id=item_id, quantity=1),))
    first, second = [(await canteen.order(item_id, student=ANOTHER)).json()["id"] for _ in range(2)]
    web, path = canteen.web[subjects.GATEWAY], f"/v1/ops/{subjects.GATEWAY}/orders"
    page = await web.get(path, params={"student_id": ANOTHER, "limit": 1}, headers=canteen.operator)
    assert [order["id"] for order in page.json()["items"]] == [second]
    rest = {"student_id": ANOTHER, "cursor": page.json()["next_cursor"]}
    page = await web.get(path, params=rest, headers=canteen.operator)
    assert ([order["id"] for order in page.json()["items"]], page.json()["next_cursor"]) == ([first], None)
    other = await web.get(path, params={"student_id": "210041103"}, headers=canteen.operator)
    assert other.json() == {"items": [], "next_cursor": None}
    for wrong in ({}, {"student_id": ""}, {"student_id": "a b"}, {"student_id": "x" * 33}):
        assert (await web.get(path, params=wrong, headers=canteen.operator)).status_code == 400, wrong
