"""No service's clock is compared with another's: the gateway's database alone measures the age of an order."""

import sys
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts import subjects
from cafeteria.contracts.values import Line
from cafeteria.testkit.plugin import until

ITEM = UUID(int=1)


@pytest.fixture(params=[-90, 90], ids=["90 s behind", "90 s ahead"])
def skew(request: pytest.FixtureRequest) -> timedelta:
    return timedelta(seconds=request.param)


def set_clock(monkeypatch: pytest.MonkeyPatch, service: str, skew: timedelta) -> None:
    """All of the service's code reads a clock that is wrong."""
    modules = [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith(f"cafeteria.{service}.") and getattr(module, "now", None) is now
    ]
    assert modules
    for module in modules:
        monkeypatch.setattr(module, "now", lambda: now() + skew)


@pytest.mark.parametrize("wrong", [subjects.GATEWAY, subjects.STOCK])
async def test_orders_are_accepted_although_the_clock_of_gateway_or_stock_is_wrong(
    start: Any, add_items: Any, tokens: Any, monkeypatch: Any, skew: timedelta, wrong: str
) -> None:
    """At once, and by retry pending: the second order is stored before stock can be asked."""
    await add_items((Line(item_id=ITEM, quantity=1),))
    url = await start(subjects.GATEWAY)
    headers = tokens.header(tokens.student("210041101"))
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10) as student:
        waiting = await order(student)
        assert waiting.status_code == httpx.codes.ACCEPTED
        await start(subjects.STOCK)
        set_clock(monkeypatch, wrong, skew)
        at_once = await order(student)
        assert at_once.status_code == httpx.codes.CREATED, at_once.text

        async def is_decided() -> str | None:
            answer = (await student.get(f"/v1/orders/{waiting.json()['id']}")).json()
            return None if answer["status"] == "PENDING" else str(answer["status"])

        assert await until(is_decided) == "STOCK_VERIFIED"


async def order(student: httpx.AsyncClient) -> httpx.Response:
    return await student.post(
        "/v1/orders",
        json={"lines": [{"item_id": str(ITEM), "quantity": 1}]},
        headers={"Idempotency-Key": uuid4().hex},
    )
