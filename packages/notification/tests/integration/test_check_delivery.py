"""Delivery checks: which statuses are missing, unless they may only be unread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import orders
from cafeteria.contracts.orders import DeliveryStatus
from cafeteria.contracts.subjects import NOTIFICATION_DELIVERY
from cafeteria.contracts.values import OrderStatus, OrderVersion
from cafeteria.notification.use_cases.check_delivery import CheckDelivery
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import MakeOrder, Notification


PENDING, STOCK_VERIFIED = OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED


async def test_the_versions_that_are_not_logged_are_missing(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    order.enters(PENDING)
    await notification.publish(order.enters(STOCK_VERIFIED))
    await until(lambda: notification.logged(order.id))
    await until(notification.has_handled_all)
    asked = [OrderVersion(order_id=order.id, version=version) for version in (1, 2, 3)]
    other = OrderVersion(order_id=new_id(), version=1)
    answer = await notification.gateway.request(
        NOTIFICATION_DELIVERY, orders.CheckDelivery(items=(*asked, other)), deadline_s=5
    )
    assert answer.missing == (asked[2], other)
    assert not answer.behind


async def test_with_a_lag_nothing_is_missing_and_what_is_logged_is_still_known(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    await notification.publish(order.enters(PENDING))
    await until(lambda: notification.logged(order.id))
    logged = OrderVersion(order_id=order.id, version=1)
    unknown = OrderVersion(order_id=new_id(), version=1)

    async def is_behind() -> bool:
        return True

    check_delivery = CheckDelivery(notification.apps[0].state.service.database, is_behind=is_behind)
    assert await check_delivery([unknown]) == DeliveryStatus(behind=True)
    assert await check_delivery([logged]) == DeliveryStatus()


async def test_while_the_stream_is_not_read_it_is_not_ready_and_answers_that_it_is_behind(
    notification: Notification,
) -> None:
    service = notification.apps[0].state.service
    async with notification.servers.bus_as("admin") as admin:
        await admin.jetstream().delete_stream("NOTIFICATION")
    await until(lambda: service.stream_lag.messages is None)
    request = orders.CheckDelivery(items=(OrderVersion(order_id=new_id(), version=1),))
    answer = await notification.gateway.request(NOTIFICATION_DELIVERY, request, deadline_s=5)
    assert answer == DeliveryStatus(behind=True)
    async with httpx.AsyncClient(base_url=notification.urls[0]) as web:
        readiness = await web.get("/health/ready")
    assert readiness.status_code == 503
    assert readiness.json()["dependencies"]["reader"].startswith("unavailable")
    await notification.servers.ensure_bus()
