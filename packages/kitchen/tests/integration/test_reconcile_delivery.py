"""Reconcile delivery: a status that NATS lost is published again, once, and only for receivers that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from cafeteria.contracts import subjects
from cafeteria.contracts.kitchen import CookOrder
from cafeteria.contracts.values import Pickup, RejectionReason
from cafeteria.kitchen import app
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Kitchen, OpenKitchen, Receivers

_MAKE_DUE = "UPDATE kitchen.kitchen_orders SET confirm_at = now() WHERE confirm_at IS NOT NULL"


@pytest.fixture(autouse=True)
def frequent_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = tuple(msgspec.structs.replace(job, every_s=0.1) for job in app.DECLARED.jobs)
    monkeypatch.setattr(app, "DECLARED", msgspec.structs.replace(app.DECLARED, jobs=jobs))


async def a_ready_order(kitchen: Kitchen) -> CookOrder:
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_events(order, count=2)
    await kitchen.wait_for_empty_outbox()
    return order


async def delivery_columns(kitchen: Kitchen, order: CookOrder) -> tuple[int, int, bool]:
    ticket = await kitchen.database.ticket_of(order)
    return ticket["gateway_version"], ticket["notified_version"], ticket["confirm_at"] is None


async def wait_until_confirmed(kitchen: Kitchen, order: CookOrder, version: int) -> None:
    async def is_confirmed() -> bool:
        return await delivery_columns(kitchen, order) == (version, version, True)

    await until(is_confirmed)


async def test_a_status_that_both_receivers_have_is_confirmed_and_not_published_again(
    open_kitchen: OpenKitchen, receivers: Receivers
) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)

    await kitchen.database.connection.execute(_MAKE_DUE)

    await wait_until_confirmed(kitchen, order, version=4)
    assert len(await kitchen.stream.events_of(order)) == 2
    assert {(name, item.version) for name, item in receivers.asked} == {
        (subjects.GATEWAY, 4),
        (subjects.NOTIFICATION, 4),
    }


async def test_a_status_that_the_stream_lost_is_published_again_with_the_whole_path(
    open_kitchen: OpenKitchen, receivers: Receivers
) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)
    events_before = await kitchen.stream.events_of(order)
    assert await kitchen.stream.lose(order) == 2

    await kitchen.database.connection.execute(_MAKE_DUE)

    [event] = await kitchen.wait_for_events(order, count=1)
    assert event == events_before[-1]
    assert isinstance(event.pickup, Pickup)
    assert [step.version for step in event.earlier] == [1, 2, 3]
    await kitchen.database.connection.execute(_MAKE_DUE)
    await wait_until_confirmed(kitchen, order, version=4)
    assert len(await kitchen.stream.events_of(order)) == 1
    assert (
        'cafeteria_missing_messages_total{receiver="gateway"} 1.0' in (await kitchen.web.get("/metrics")).text
    )


async def test_a_status_that_one_receiver_misses_is_published_again_and_only_that_receiver_is_asked_again(
    open_kitchen: OpenKitchen, receivers: Receivers
) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)
    receivers.receiver_without_events = subjects.NOTIFICATION

    await kitchen.database.connection.execute(_MAKE_DUE)

    assert len(await kitchen.wait_for_events(order, count=3)) == 3
    assert await delivery_columns(kitchen, order) == (4, 0, False)
    receivers.receiver_without_events = None
    receivers.asked.clear()
    await kitchen.database.connection.execute(_MAKE_DUE)
    await wait_until_confirmed(kitchen, order, version=4)
    assert {name for name, _ in receivers.asked} == {subjects.NOTIFICATION}


async def test_only_one_of_two_replicas_publishes_a_lost_status_again(
    open_kitchen: OpenKitchen, receivers: Receivers
) -> None:
    kitchen = await open_kitchen(replicas=2)
    order = await a_ready_order(kitchen)
    await kitchen.stream.lose(order)

    await kitchen.database.connection.execute(_MAKE_DUE)

    await wait_until_confirmed(kitchen, order, version=4)
    assert len(await kitchen.stream.events_of(order)) == 1


async def test_nothing_is_published_again_while_the_receivers_lag(
    open_kitchen: OpenKitchen, receivers: Receivers
) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)
    receivers.are_behind = True
    await kitchen.stream.lose(order)

    await kitchen.database.connection.execute(_MAKE_DUE)

    await until(lambda: {name for name, _ in receivers.asked} == {subjects.GATEWAY, subjects.NOTIFICATION})
    receivers.asked.clear()
    await until(lambda: receivers.asked)
    assert await kitchen.stream.events_of(order) == []
    assert await delivery_columns(kitchen, order) == (0, 0, False)


async def test_a_status_that_is_not_due_is_not_checked(
    open_kitchen: OpenKitchen, receivers: Receivers
) -> None:
    kitchen = await open_kitchen()
    first, second = await a_ready_order(kitchen), await a_ready_order(kitchen)

    await kitchen.database.connection.execute(
        "UPDATE kitchen.kitchen_orders SET confirm_at = now() WHERE order_id = $1", first.order_id
    )

    await wait_until_confirmed(kitchen, first, version=4)
    assert {item.order_id for _, item in receivers.asked} == {first.order_id}
    assert await delivery_columns(kitchen, second) == (0, 0, False)


async def test_a_cancelled_order_is_confirmed_like_any_other(
    open_kitchen: OpenKitchen, receivers: Receivers
) -> None:
    kitchen = await open_kitchen()
    order = kitchen.gateway.an_order()
    await kitchen.gateway.cancel(order)
    await kitchen.wait_for_events(order, count=1)
    await kitchen.wait_for_empty_outbox()

    await kitchen.database.connection.execute(_MAKE_DUE)

    await wait_until_confirmed(kitchen, order, version=3)


async def test_a_refusal_that_the_stream_lost_is_published_again_with_its_reason(
    open_kitchen: OpenKitchen, receivers: Receivers
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)
    ticket = await kitchen.database.ticket_of(order)
    await kitchen.web.post(f"/v1/tickets/{ticket['id']}/refuse", json={"reason": "The fryer is broken."})
    [before] = await kitchen.wait_for_events(order, count=1)
    await kitchen.wait_for_empty_outbox()
    assert await kitchen.stream.lose(order) == 1

    await kitchen.database.connection.execute(_MAKE_DUE)

    [event] = await kitchen.wait_for_events(order, count=1)
    assert event == before
    assert (event.status, event.reason) == ("CANCELLED", RejectionReason.KITCHEN)


async def test_a_status_survives_the_loss_of_all_nats_data(
    open_kitchen: OpenKitchen, receivers: Receivers, servers: FixtureServers
) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)
    await servers.wipe_nats()
    await until(lambda: kitchen.stream.is_readable)

    await kitchen.database.connection.execute(_MAKE_DUE)

    [event] = await kitchen.wait_for_events(order, count=1)
    assert (event.status, len(event.earlier)) == ("READY", 3)
