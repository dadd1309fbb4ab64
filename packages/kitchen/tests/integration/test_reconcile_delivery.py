"""Reconcile delivery: a status that NATS lost is published again, once, and only for receivers that answer."""

from typing import Any

import msgspec
import pytest

from cafeteria.contracts import subjects
from cafeteria.kitchen import app
from cafeteria.testkit.plugin import until

_TIME_PASSES = "UPDATE kitchen.kitchen_orders SET confirm_at = now() WHERE confirm_at IS NOT NULL"


@pytest.fixture(autouse=True)
def frequent_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = tuple(msgspec.structs.replace(job, every_s=0.1) for job in app.DECLARED.jobs)
    monkeypatch.setattr(app, "DECLARED", msgspec.structs.replace(app.DECLARED, jobs=jobs))


async def a_ready_order(kitchen: Any) -> Any:
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.hear(order, count=2)
    await kitchen.all_is_said()
    return order


async def confirmed(kitchen: Any, order: Any) -> tuple[int, int, bool]:
    ticket = await kitchen.books.ticket_of(order)
    return ticket["gateway_version"], ticket["notified_version"], ticket["confirm_at"] is None


async def becomes_confirmed(kitchen: Any, order: Any, version: int) -> None:
    async def is_confirmed() -> bool:
        return await confirmed(kitchen, order) == (version, version, True)

    await until(is_confirmed)


async def test_what_everybody_has_is_confirmed_and_not_said_again(open_kitchen: Any, receivers: Any) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)

    await kitchen.books.connection.execute(_TIME_PASSES)

    await becomes_confirmed(kitchen, order, version=4)
    assert len(await kitchen.stream.said_of(order)) == 2
    assert {(name, item.version) for name, item in receivers.asked} == {
        (subjects.GATEWAY, 4),
        (subjects.NOTIFICATION, 4),
    }


async def test_what_the_stream_lost_is_said_again_with_the_whole_path(
    open_kitchen: Any, receivers: Any
) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)
    said_before = await kitchen.stream.said_of(order)
    assert await kitchen.stream.lose(order) == 2

    await kitchen.books.connection.execute(_TIME_PASSES)

    [news] = await kitchen.hear(order, count=1)
    assert news == said_before[-1]
    assert [step.version for step in news.earlier] == [1, 2, 3]
    await kitchen.books.connection.execute(_TIME_PASSES)
    await becomes_confirmed(kitchen, order, version=4)
    assert len(await kitchen.stream.said_of(order)) == 1
    assert (
        'cafeteria_missing_messages_total{receiver="gateway"} 1.0' in (await kitchen.web.get("/metrics")).text
    )


async def test_one_receiver_that_lacks_it_is_enough_and_the_other_is_not_asked_again(
    open_kitchen: Any, receivers: Any
) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)
    receivers.is_deaf = subjects.NOTIFICATION

    await kitchen.books.connection.execute(_TIME_PASSES)

    assert len(await kitchen.hear(order, count=3)) == 3
    assert await confirmed(kitchen, order) == (4, 0, False)
    receivers.is_deaf = None
    receivers.asked.clear()
    await kitchen.books.connection.execute(_TIME_PASSES)
    await becomes_confirmed(kitchen, order, version=4)
    assert {name for name, _ in receivers.asked} == {subjects.NOTIFICATION}


async def test_of_two_replicas_that_learn_of_a_loss_one_says_it_again(
    open_kitchen: Any, receivers: Any
) -> None:
    kitchen = await open_kitchen(replicas=2)
    order = await a_ready_order(kitchen)
    await kitchen.stream.lose(order)

    await kitchen.books.connection.execute(_TIME_PASSES)

    await becomes_confirmed(kitchen, order, version=4)
    assert len(await kitchen.stream.said_of(order)) == 1


async def test_nothing_is_said_again_for_a_receiver_that_is_behind_or_silent(
    open_kitchen: Any, receivers: Any
) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)
    receivers.are_behind = True
    await kitchen.stream.lose(order)

    await kitchen.books.connection.execute(_TIME_PASSES)

    await until(lambda: {name for name, _ in receivers.asked} == {subjects.GATEWAY, subjects.NOTIFICATION})
    receivers.asked.clear()
    await until(lambda: receivers.asked)
    assert await kitchen.stream.said_of(order) == []
    assert await confirmed(kitchen, order) == (0, 0, False)


async def test_a_younger_status_is_not_asked_about(open_kitchen: Any, receivers: Any) -> None:
    kitchen = await open_kitchen()
    first, second = await a_ready_order(kitchen), await a_ready_order(kitchen)

    await kitchen.books.connection.execute(
        "UPDATE kitchen.kitchen_orders SET confirm_at = now() WHERE order_id = $1", first.order_id
    )

    await becomes_confirmed(kitchen, first, version=4)
    assert {item.order_id for _, item in receivers.asked} == {first.order_id}
    assert await confirmed(kitchen, second) == (0, 0, False)


async def test_a_cancelled_order_is_confirmed_like_any_other(open_kitchen: Any, receivers: Any) -> None:
    kitchen = await open_kitchen()
    order = kitchen.gateway.an_order()
    await kitchen.gateway.cancel(order)
    await kitchen.hear(order, count=1)
    await kitchen.all_is_said()

    await kitchen.books.connection.execute(_TIME_PASSES)

    await becomes_confirmed(kitchen, order, version=3)


async def test_a_wiped_store_loses_no_status(open_kitchen: Any, receivers: Any, servers: Any) -> None:
    kitchen = await open_kitchen()
    order = await a_ready_order(kitchen)
    await servers.wipe_nats()
    await until(lambda: kitchen.stream.is_readable)

    await kitchen.books.connection.execute(_TIME_PASSES)

    [news] = await kitchen.hear(order, count=1)
    assert (news.status, len(news.earlier)) == ("READY", 3)
