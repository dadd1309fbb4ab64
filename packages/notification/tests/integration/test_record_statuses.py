"""The log behind the streams: what it keeps, what it says on the bus, and what it does with what it cannot read."""

from typing import Any

import httpx
import msgspec
import pytest

from cafeteria.chassis.messaging.dead_letters import WHOLE_MESSAGE
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.orders import AskKnown
from cafeteria.contracts.subjects import GATEWAY_STATUS, NOTIFICATION_KNOWN
from cafeteria.contracts.values import OrderStatus, OrderVersion

PENDING, STOCK_VERIFIED, READY = OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.READY
PATH = (PENDING, STOCK_VERIFIED, OrderStatus.IN_KITCHEN, READY)


async def test_it_knows_exactly_the_versions_that_it_has_logged(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    order = make_order()
    order.enters(PENDING)
    await hall.tell(order.enters(STOCK_VERIFIED))
    await wait_until(lambda: hall.logged(order.id))
    await wait_until(hall.has_taken_all)
    asked = [OrderVersion(order_id=order.id, version=version) for version in (1, 2, 3)]
    stranger = OrderVersion(order_id=new_id(), version=1)
    answer = await hall.gateway.request(NOTIFICATION_KNOWN, AskKnown(items=(*asked, stranger)), deadline_s=5)
    assert answer.missing == (asked[2], stranger)
    assert not answer.behind


async def test_while_it_is_far_behind_it_does_not_judge(
    hall: Any, make_order: Any, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_order()
    await hall.tell(order.enters(PENDING))
    await wait_until(lambda: hall.logged(order.id))
    known = OrderVersion(order_id=order.id, version=1)
    unknown = OrderVersion(order_id=new_id(), version=1)

    async def is_behind() -> bool:
        return True

    with monkeypatch.context() as far:
        far.setattr(hall.apps[0].state.service, "_is_behind", is_behind)
        answer = await hall.gateway.request(NOTIFICATION_KNOWN, AskKnown(items=(unknown,)), deadline_s=5)
        assert answer.behind
        assert not answer.missing
        answer = await hall.gateway.request(NOTIFICATION_KNOWN, AskKnown(items=(known,)), deadline_s=5)
        assert not answer.behind


async def test_what_nobody_can_read_is_kept_aside_and_passed(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    order = make_order()
    impossible = make_order("no student!").enters(PENDING)
    async with hall.watch() as watcher:
        await hall.gateway.client.jetstream().publish(
            GATEWAY_STATUS.subject, b"{not json", headers={"Nats-Msg-Id": "broken"}
        )
        await hall.tell(impossible, order.enters(PENDING))
        await wait_until(lambda: watcher.events)
    rows = await hall.books.fetch(
        "SELECT stream, item, message_id, body, error FROM notification.dead_letters ORDER BY sequence"
    )
    assert [row["stream"] for row in rows] == ["NOTIFICATION"] * 2
    assert (rows[0]["item"], rows[0]["message_id"], rows[0]["body"]) == (
        WHOLE_MESSAGE,
        "broken",
        b"{not json",
    )
    assert "student_id" in rows[1]["error"]


async def test_an_event_that_nobody_can_read_hides_none_beside_it(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    order = make_order()
    good = msgspec.json.encode(order.enters(PENDING))
    impossible = msgspec.json.encode(make_order("no student!").enters(PENDING))
    body = b'{"events":[{"order_id":7},%b,%b,"junk"]}' % (impossible, good)
    async with hall.watch() as watcher:
        await hall.gateway.client.jetstream().publish(GATEWAY_STATUS.subject, body)
        await wait_until(lambda: watcher.events)
        rows = await hall.books.fetch("SELECT item FROM notification.dead_letters ORDER BY item")
    assert [row["item"] for row in rows] == [0, 1, 3]
    assert [event.order_id for event in watcher.events] == [order.id]


async def test_a_row_says_when_a_stream_took_it(hall: Any, make_order: Any, wait_until: Any) -> None:
    live, missed = make_order(), make_order("210041102")

    async def undelivered() -> list[Any]:
        rows = await hall.books.fetch(
            "SELECT student_id FROM notification.notifications WHERE delivered_at IS NULL"
        )
        return [row["student_id"] for row in rows]

    async with hall.watch() as watcher:
        await hall.tell(missed.enters(PENDING), live.enters(PENDING))
        await wait_until(lambda: watcher.events)

        async def only_the_missed() -> bool:
            return await undelivered() == [missed.student_id]

        await wait_until(only_the_missed)
    async with hall.watch(student_id=missed.student_id) as late:
        await wait_until(lambda: late.events)

        async def none() -> bool:
            return not await undelivered()

        await wait_until(none)


async def test_the_log_is_read_page_by_page_newest_first(
    hall: Any, make_order: Any, tokens: Any, wait_until: Any
) -> None:
    order, other = make_order(), make_order("210041102")
    await hall.tell(*(order.enters(status) for status in PATH), other.enters(PENDING))
    await wait_until(lambda: hall.logged(other.id))
    seen: list[dict[str, Any]] = []
    cursor = None
    async with httpx.AsyncClient(
        base_url=hall.urls[0], headers={"Authorization": f"Bearer {tokens.student()}"}
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


async def test_a_batch_that_fails_is_tried_again_and_not_passed(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    first, second = make_order(), make_order()
    async with hall.watch() as watcher:
        await hall.tell(first.enters(PENDING))
        await wait_until(lambda: watcher.events)
        await hall.servers.postgres.stop()
        await hall.tell(second.enters(PENDING), first.enters(STOCK_VERIFIED))
        async with httpx.AsyncClient(base_url=hall.urls[0], timeout=20) as web:
            answer = await web.get("/health/ready")
            assert answer.status_code == 503
            assert answer.json()["dependencies"]["postgres"].startswith("unavailable")
            signed_in = {"Authorization": f"Bearer {hall.tokens.student()}"}
            answer = await web.get("/v1/notifications", headers=signed_in)
            assert answer.status_code == 503
        await hall.servers.postgres.start()
        await wait_until(lambda: len(watcher.events) >= 3)
        assert [(event.order_id, event.status) for event in watcher.events] == [
            (first.id, PENDING),
            (second.id, PENDING),
            (first.id, STOCK_VERIFIED),
        ]


async def test_only_open_orders_are_remembered_as_open(hall: Any, make_order: Any, wait_until: Any) -> None:
    ready, cooking, rejected = make_order(), make_order(), make_order()
    late = ready.enters(PENDING)
    await hall.tell(
        *(ready.enters(status, with_earlier=False) for status in PATH[1:]),
        late,
        *(cooking.enters(status) for status in PATH[:3]),
        *(rejected.enters(status) for status in (PENDING, OrderStatus.REJECTED)),
    )
    await wait_until(lambda: hall.logged(rejected.id))

    async def open_orders() -> set[Any]:
        return {
            row["order_id"] for row in await hall.books.fetch("SELECT order_id FROM notification.open_orders")
        }

    assert await open_orders() == {cooking.id}
    assert PENDING in await hall.logged(ready.id)


async def test_after_a_restart_it_goes_on_where_it_was(
    open_hall: Any, make_order: Any, wait_until: Any
) -> None:
    order = make_order()
    before = await open_hall()
    await before.tell(order.enters(PENDING))
    await wait_until(lambda: before.logged(order.id))
    after = await open_hall()
    async with after.watch(last_event_id="0") as watcher:
        await after.tell(order.enters(STOCK_VERIFIED))
        await wait_until(lambda: len(watcher.events) >= 2)
        assert watcher.statuses() == [PENDING, STOCK_VERIFIED]
    row = await before.books.fetchrow("SELECT position, stream_sequence FROM notification.position_counter")
    assert row["position"] == 2
    assert row["stream_sequence"] >= 2
