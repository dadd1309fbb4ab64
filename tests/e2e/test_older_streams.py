"""Streams that an earlier release created are emptied, and their unread messages arrive all the same."""

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import msgspec

from cafeteria.contracts.channels import HEADER_MESSAGE_ID, WIRE
from cafeteria.contracts.kitchen import CookOrders
from cafeteria.contracts.subjects import KITCHEN_STREAM, STREAMS, WORK_PLACED
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.provisioning.streams import stream_config

if TYPE_CHECKING:
    from conftest import RunningStack

ORDERS = 12


async def test_work_that_waits_in_the_form_of_an_earlier_release_is_cooked(
    stack: "RunningStack", lines_of: Any, order_in: Any, wait_until: Any
) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    stack.follow(student)
    await stack.processes.stop("kitchen")
    try:
        keys = [f"older-{number}" for number in range(ORDERS)]
        answers = await asyncio.gather(*(student.order(lines_of(dish), key=key) for key in keys))
        orders = [order_in(answer) for answer in answers]
        async with BusAdmin(stack.processes.servers.nats_admin_url) as admin:
            work = await wait_until(lambda: published_work(admin, {order.id for order in orders}))
            for order in work:
                headers = {HEADER_MESSAGE_ID: f"older-{order.order_id}"}
                await admin.publish(WORK_PLACED.subject, msgspec.json.encode(order), headers)
            await remove_the_version(admin)
            await wait_until(lambda: have_todays_version(admin))
            assert (await admin.stream(KITCHEN_STREAM.name))["messages"] < ORDERS
    finally:
        await stack.processes.start("kitchen")
    await stack.until_all_are([order.id for order in orders], "READY")
    await stack.until_seen(student, *(order.id for order in orders), versions=[1, 2, 3, 4])
    async with stack.database() as connection:
        assert await connection.fetchval("SELECT count(*) FROM kitchen.dead_letters") == 0


async def published_work(admin: BusAdmin, order_ids: set[Any]) -> list[Any]:
    """The cook commands of these orders, once all of them are in the stream."""
    found = {}
    state = await admin.stream(KITCHEN_STREAM.name)
    for sequence in range(max(1, state["first_seq"]), state["last_seq"] + 1):
        message = (await admin.ask(f"STREAM.MSG.GET.{KITCHEN_STREAM.name}", {"seq": sequence}))["message"]
        body = base64.b64decode(message["data"])
        for order in msgspec.json.decode(body, type=CookOrders).orders:
            found[order.order_id] = order
    return [found[order_id] for order_id in order_ids] if order_ids <= found.keys() else []


async def remove_the_version(admin: BusAdmin) -> None:
    """Remove the wire version from the streams' metadata: an earlier release's streams have none."""
    for stream in STREAMS:
        there = (await admin.ask(f"STREAM.INFO.{stream.name}"))["config"]
        config = stream_config(stream, max_bytes=there["max_bytes"]) | {"metadata": {}}
        await admin.ask(f"STREAM.UPDATE.{stream.name}", config)


async def have_todays_version(admin: BusAdmin) -> bool:
    infos = [await admin.ask(f"STREAM.INFO.{stream.name}") for stream in STREAMS]
    return all(info["config"].get("metadata", {}).get("wire") == WIRE for info in infos)
