"""Each consumer receives each golden event twice and acts once.

The stream does not drop the copy here: each has a message id of its own, as when a sender whose acknowledgement was
lost publishes the event again an hour later.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import gateway, identity, kitchen, notification, orders, stock, subjects
from cafeteria.contracts.channels import HEADER_MESSAGE_ID, HEADER_SENDER, HEADER_TYPE, Durable, Topic
from cafeteria.contracts.values import OrderStatus, Role

CONSUMED_HERE = {
    subjects.SESSIONS_REVOKED,
    subjects.AVAILABILITY,
    subjects.PACE,
    subjects.WORK_PLACED,
    subjects.GATEWAY_STATUS,
    subjects.KITCHEN_STATUS,
}


def test_no_topic_is_left_out() -> None:
    assert set(subjects.TOPICS) == CONSUMED_HERE


async def publish_twice(servers: Any, topic: Topic[Any], body: bytes) -> int:
    """Publish it with the headers of its owner; return the second copy's sequence in the stream."""
    sequence = 0
    async with servers.bus_as(topic.owner) as client:
        stream = client.jetstream()
        for _ in range(2):
            headers = {
                HEADER_MESSAGE_ID: str(new_id()),
                HEADER_TYPE: topic.type_name,
                HEADER_SENDER: topic.owner,
            }
            sequence = (await stream.publish(topic.subject, body, headers=headers)).seq
    return sequence


async def all_acknowledged(servers: Any, durable: Durable, sequence: int) -> bool:
    """Whether every message up to that sequence was acknowledged."""
    async with servers.bus_as("admin") as client:
        info = await client.jetstream().consumer_info(durable.stream, durable.name)
    floor = info.ack_floor.stream_seq if info.ack_floor else 0
    return bool(floor >= sequence)


async def test_kitchen_cooks_work_that_comes_twice_once(
    start: Any, servers: Any, golden: Any, wait_until: Any
) -> None:
    await start(subjects.KITCHEN, KITCHEN_PREP_MIN_S=0, KITCHEN_PREP_MAX_S=0)
    work = golden(kitchen.CookOrders)[""]
    order_ids = {order.order_id for order in msgspec.json.decode(work, type=kitchen.CookOrders).orders}
    sequence = await publish_twice(servers, subjects.WORK_PLACED, work)
    await wait_until(lambda: all_acknowledged(servers, subjects.KITCHEN_WORK, sequence))
    async with servers.database_as_admin() as connection:
        cooked = "SELECT count(*) = $1 FROM kitchen.kitchen_orders WHERE version = 4"
        await wait_until(lambda: connection.fetchval(cooked, len(order_ids)))
        tickets = await connection.fetch("SELECT id, order_id FROM kitchen.kitchen_orders")
        history = await connection.fetch(
            "SELECT kitchen_order_id, status FROM kitchen.order_status_history ORDER BY id"
        )
    assert len(tickets) == len(order_ids)
    assert {ticket["order_id"] for ticket in tickets} == order_ids
    for ticket in tickets:
        assert [status for ticket_id, status in history if ticket_id == ticket["id"]] == [
            "IN_KITCHEN",
            "READY",
        ]


async def test_the_gateway_projects_a_kitchen_status_once(
    start: Any, servers: Any, golden: Any, wait_until: Any, tokens: Any, add_items: Any
) -> None:
    asked = msgspec.json.decode(golden(gateway.PlaceOrder)[""], type=gateway.PlaceOrder)
    await add_items(asked.lines)
    await start(subjects.STOCK)
    url = await start(subjects.GATEWAY)
    async with httpx.AsyncClient(base_url=url, headers=tokens.header(tokens.student())) as student:
        order_id = await placed(student, golden(gateway.PlaceOrder)[""])
        event = msgspec.json.decode(golden(orders.OrderStatusChanged)[""], type=orders.OrderStatusChanged)
        event = msgspec.structs.replace(event, order_id=order_id)
        message = orders.OrderStatusesChanged(events=(event,))
        sequence = await publish_twice(servers, subjects.KITCHEN_STATUS, msgspec.json.encode(message))
        await wait_until(lambda: all_acknowledged(servers, subjects.GATEWAY_PROJECTION, sequence))
        shown = (await student.get(f"/v1/orders/{order_id}")).json()
    assert (shown["status"], shown["version"]) == ("READY", 4)
    async with servers.database_as_admin() as connection:
        row = await connection.fetchrow("SELECT * FROM gateway.orders WHERE id = $1", order_id)
        letters = await connection.fetchval("SELECT count(*) FROM gateway.dead_letters")
    assert row["status_times"].count("READY") == 1
    assert letters == 0


async def placed(student: httpx.AsyncClient, body: bytes) -> UUID:
    headers = {"Idempotency-Key": "golden", "Content-Type": "application/json"}
    answer = await student.post("/v1/orders", content=body, headers=headers)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return UUID(answer.json()["id"])


async def test_the_gateways_menu_shows_an_item_once_after_two_equal_events(
    start: Any, servers: Any, golden: Any, wait_until: Any
) -> None:
    url = await start(subjects.GATEWAY)
    events = golden(stock.AvailabilityChanged)
    async with servers.bus_as(subjects.STOCK) as client, httpx.AsyncClient(base_url=url) as student:

        async def menu_after_publishing() -> Any:
            for body in (events[""], events[""], events["changes"], events["changes"]):
                await client.publish(subjects.AVAILABILITY.subject, body)
            await client.flush()
            return (await student.get("/v1/menu")).json()["items"]

        items = await wait_until(menu_after_publishing)
    published = msgspec.json.decode(events[""], type=stock.AvailabilityChanged).items
    assert [(item["item_id"], item["available"]) for item in items] == [
        (str(item.item_id), item.available) for item in sorted(published, key=lambda item: item.name)
    ]


async def test_notification_shows_the_pace_that_it_is_told(
    start: Any, servers: Any, golden: Any, tokens: Any
) -> None:
    url = await start(subjects.NOTIFICATION)
    pace = golden(kitchen.Pace)[""]
    async with (
        servers.bus_as(subjects.KITCHEN) as client,
        httpx.AsyncClient(base_url=url, timeout=20) as web,
        web.stream(
            "GET", "/v1/events", params={"with": "canteen"}, headers=tokens.header(tokens.student())
        ) as stream,
    ):
        async for line in stream.aiter_lines():
            for _ in range(2):
                await client.publish(subjects.PACE.subject, pace)
            if line.startswith("data: ") and b"kitchen_age_s" in line.encode():
                shown = msgspec.json.decode(line.removeprefix("data: "), type=notification.CanteenPulse)
                if shown.kitchen is not None:
                    break
    assert shown.kitchen == msgspec.json.decode(pace, type=kitchen.Pace)


@pytest.mark.parametrize("service", [each for each in subjects.SERVICES if each != subjects.IDENTITY])
async def test_every_verifier_refuses_an_ended_session_however_often_it_is_told(
    start: Any, servers: Any, golden: Any, wait_until: Any, tokens: Any, service: str
) -> None:
    paths = {
        subjects.GATEWAY: "/v1/orders",
        subjects.STOCK: f"/v1/items/{UUID(int=1)}/transactions",
        subjects.KITCHEN: "/v1/tickets",
        subjects.NOTIFICATION: "/v1/notifications",
    }
    url = await start(service)
    event = msgspec.json.decode(golden(identity.SessionsRevoked)[""], type=identity.SessionsRevoked)
    until = datetime.now(UTC) + timedelta(minutes=15)
    ends = tuple(msgspec.structs.replace(each, until=until) for each in event.revocations)
    body = msgspec.json.encode(identity.SessionsRevoked(revocations=ends))
    ended, other = (
        tokens.header(tokens.sign("operator-1", Role.OPERATOR, session=session))
        for session in (ends[0].session, None)
    )
    async with servers.bus_as(subjects.IDENTITY) as client, httpx.AsyncClient(base_url=url) as person:

        async def status(header: dict[str, str]) -> int:
            return (await person.get(paths[service], headers=header)).status_code

        async def is_refused() -> bool:
            return await status(ended) == httpx.codes.UNAUTHORIZED

        await wait_until(lambda: is_ready(person))
        assert not await is_refused()
        for _ in range(2):
            await client.publish(subjects.SESSIONS_REVOKED.subject, body)
            await client.flush()
            await wait_until(is_refused)
        assert await status(other) != httpx.codes.UNAUTHORIZED


async def is_ready(person: httpx.AsyncClient) -> bool:
    return (await person.get("/health/ready")).status_code == httpx.codes.OK


STATUS_EVENTS = [
    (subjects.GATEWAY_STATUS, "verified", [1, 2]),
    (subjects.GATEWAY_STATUS, "rejected", [1, 2]),
    (subjects.KITCHEN_STATUS, "", [1, 2, 3, 4]),
]


@pytest.mark.parametrize(("topic", "variant", "versions"), STATUS_EVENTS)
async def test_notification_logs_each_status_once(
    start: Any, servers: Any, golden: Any, wait_until: Any, topic: Any, variant: str, versions: list[int]
) -> None:
    """The earlier statuses that the event contains are logged too, also once each."""
    await start(subjects.NOTIFICATION)
    body = golden(orders.OrderStatusChanged)[variant]
    event = msgspec.json.decode(body, type=orders.OrderStatusChanged)
    sequence = await publish_twice(servers, topic, b'{"events":[%b]}' % body)
    async with servers.database_as_admin() as connection:

        async def has_read_both() -> bool:
            read = await connection.fetchval("SELECT stream_sequence FROM notification.position_counter")
            return bool(read is not None and read >= sequence)

        await wait_until(has_read_both)
        rows = await connection.fetch("SELECT * FROM notification.notifications ORDER BY position")
    assert [(row["order_id"], row["version"]) for row in rows] == [
        (event.order_id, version) for version in versions
    ]
    assert len({row["position"] for row in rows}) == len(rows)
    assert OrderStatus(rows[-1]["status_sent"]) is event.status
