"""The delivery log, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from cafeteria.contracts.values import OrderStatus
from cafeteria.testkit.plugin import until
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import MakeOrder, Notification


PENDING = OrderStatus.PENDING
PATH = (PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.IN_KITCHEN, OrderStatus.READY)


async def test_the_log_is_read_page_by_page_newest_first(
    notification: Notification, make_order: MakeOrder, tokens: Tokens
) -> None:
    order, other = make_order(), make_order("210041102")
    await notification.publish(*(order.enters(status) for status in PATH), other.enters(PENDING))
    await until(lambda: notification.logged(other.id))
    seen: list[dict[str, Any]] = []
    cursor = None
    async with httpx.AsyncClient(
        base_url=notification.urls[0], headers={"Authorization": f"Bearer {tokens.student()}"}
    ) as web:
        for _ in range(2):
            page = await web.get(
                "/v1/notifications", params={"limit": 2, **({"cursor": cursor} if cursor else {})}
            )
            assert page.status_code == 200
            seen += page.json()["items"]
            cursor = page.json()["next_cursor"]
        assert cursor is None
        assert [row["status"] for row in seen] == [str(status) for status in reversed(PATH)]
        assert {row["order_id"] for row in seen} == {str(order.id)}
        assert set(seen[0]) == {"order_id", "status", "version", "sent_at", "delivered_at"}
        for wrong in ({"cursor": "x y"}, {"cursor": "9" * 19}, {"limit": 0}, {"limit": 201}):
            answer = await web.get("/v1/notifications", params=wrong)
            assert answer.status_code == 400, wrong
            assert answer.json()["type"] == "/problems/invalid-request"
