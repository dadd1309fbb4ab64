"""The canteen on the open stream: pushed soon after stock and kitchen said it, and only where it was asked for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.kitchen import KitchenMode, Pace
from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.subjects import AVAILABILITY, PACE, STOCK
from cafeteria.contracts.values import OrderStatus, Pickup
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from conftest import MakeOrder, Notification

DEADLINE_S = 15.0
SOON_S = 0.5
ITEM = new_id()


class Lines:
    """The raw lines of a stream, as they arrive."""

    def __init__(self) -> None:
        self.text = ""

    def events(self, kind: str) -> list[Any]:
        whole = self.text.split("\n\n")[:-1]
        blocks = [block for block in whole if f"event: {kind}" in block.splitlines()]
        return [msgspec.json.decode(block.split("\ndata: ", 1)[1]) for block in blocks]


@asynccontextmanager
async def stream(notification: Notification, path: str) -> AsyncIterator[Lines]:
    headers = {"Authorization": f"Bearer {notification.tokens.student('210041101')}"}
    lines = Lines()
    async with (
        plain_http(base_url=notification.urls[0], timeout_s=DEADLINE_S) as web,
        web.stream("GET", path, headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()

        async def read() -> None:
            async for chunk in response.aiter_text():
                lines.text += chunk

        reading = asyncio.create_task(read())
        try:
            yield lines
        finally:
            reading.cancel()
            await asyncio.wait([reading])


def left(available: int, version: int) -> AvailabilityChanged:
    item = ItemAvailability(
        item_id=ITEM, name="Haleem", unit_price=Decimal("110.00"), available=available, version=version
    )
    return AvailabilityChanged(items=(item,), complete=True)


def pace(queued: int) -> Pace:
    return Pace(
        at=datetime.now(UTC),
        is_open=True,
        reopens_at=None,
        delay_s=0,
        mode=KitchenMode.AUTO,
        queued=queued,
        in_kitchen=0,
        ready=0,
        stations=50,
        per_min=600.0,
        prep_p50_s=5.0,
        prep_p90_s=6.6,
    )


async def test_what_stock_and_kitchen_say_is_on_the_stream_within_half_a_second(
    notification: Notification, service_settings: Callable[..., Any]
) -> None:
    async with (
        Bus(service_settings(STOCK, ServiceSettings), service=STOCK) as stock,
        stream(notification, "/v1/events?with=canteen") as lines,
    ):
        await stock.connected()
        await until(lambda: lines.events("canteen.pulse"))
        loop = asyncio.get_running_loop()
        for version, available in enumerate((1, 0, 1), start=1):
            began_s = loop.time()
            await stock.publish(AVAILABILITY, left(available, version))

            def is_told(available: int = available) -> bool:
                told = lines.events("menu.changed")
                return bool(told) and told[-1]["items"][0]["available"] == available

            await until(is_told)
            assert loop.time() - began_s <= SOON_S
        await notification.kitchen.publish(PACE, pace(41))
        await until(lambda: (lines.events("canteen.pulse")[-1]["kitchen"] or {}).get("queued") == 41)


async def test_only_a_stream_that_asks_shows_the_canteen_and_others_are_what_they_were(
    notification: Notification, make_order: MakeOrder, service_settings: Callable[..., Any]
) -> None:
    order = make_order()
    async with (
        Bus(service_settings(STOCK, ServiceSettings), service=STOCK) as stock,
        stream(notification, "/v1/events") as plain,
        stream(notification, "/v1/events?with=canteen") as both,
    ):
        await stock.connected()
        await stock.publish(AVAILABILITY, left(3, 1))
        await until(lambda: both.events("menu.changed"))
        await notification.publish(order.enters(OrderStatus.PENDING))
        await until(lambda: both.events("order.status") and plain.events("order.status"))
        await until(lambda: len(both.events("canteen.pulse")) >= 2)

        [event] = [block for block in plain.text.split("\n\n") if "order.status" in block]
        assert event in both.text
        assert event.endswith('"reason":null}')
        kinds = {line for line in plain.text.splitlines() if line.startswith("event: ")}
        assert kinds == {"event: order.status"}
        for block in both.text.split("\n\n"):
            assert "id: " not in block or "order.status" in block or block.startswith("id: ")


async def test_an_event_from_in_kitchen_on_tells_number_and_code(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    pickup = Pickup(number=417, code="K7F2")
    async with stream(notification, "/v1/events") as lines:
        for status in (OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED):
            await notification.publish(order.enters(status))
        for status in (OrderStatus.IN_KITCHEN, OrderStatus.READY):
            await notification.publish(msgspec.structs.replace(order.enters(status), pickup=pickup))
        await until(lambda: len(lines.events("order.status")) == 4)
        live = lines.events("order.status")
    async with stream(notification, f"/v1/orders/{order.id}/events") as lines:
        await until(lambda: len(lines.events("order.status")) == 4)
        replayed = lines.events("order.status")
    assert replayed == live
    assert [event.get("pickup") for event in live] == [None, None, *[{"number": 417, "code": "K7F2"}] * 2]
    assert ["pickup" in event for event in live] == [False, False, True, True]


@pytest.mark.parametrize("value", ["menu", "", "Canteen"])
async def test_a_stream_shows_nothing_else_that_is_asked_for(notification: Notification, value: str) -> None:
    headers = {"Authorization": f"Bearer {notification.tokens.student('210041101')}"}
    async with plain_http(base_url=notification.urls[0], timeout_s=DEADLINE_S) as web:
        answer = await web.get("/v1/events", params={"with": value}, headers=headers)
    assert answer.status_code == 400
