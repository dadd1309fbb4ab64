"""The credentials of a service on the bus, misused, harm nobody: no stream, no other service, no log."""

import json
import random
from typing import Any

from cafeteria.contracts.subjects import SERVICES, STREAMS
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.rush.faults.bus_users import misuse

MESSAGES = 60


async def test_misused_credentials_stop_no_stream_and_raise_nothing_in_any_service(
    campus: Any, lines_of: Any, order_in: Any
) -> None:
    student, dish = await campus.student(), await campus.dish(100)
    campus.follow(student)
    services = [name for name in campus.stack.names if name.partition("-")[0] in SERVICES]
    pids = {name: campus.stack.pid(name) for name in services}
    read_before = {name: len(campus.stack.log(name)) for name in services}
    async with BusAdmin(campus.stack.servers.nats_admin_url) as admin:
        created = {
            stream.name: (await admin.ask(f"STREAM.INFO.{stream.name}"))["created"] for stream in STREAMS
        }
        orders = []
        for user in SERVICES:
            chance = random.Random(user)  # noqa: S311 - repeatable on purpose
            await misuse(campus.stack.servers, user, chance, messages=MESSAGES)
            orders.append(order_in(await student.order(lines_of(dish), key=f"misuse-{user}")))
        await campus.until_all_are([order.id for order in orders], "READY")
        await campus.until_seen(student, *(order.id for order in orders), versions=[1, 2, 3, 4])
        after = {
            stream.name: (await admin.ask(f"STREAM.INFO.{stream.name}"))["created"] for stream in STREAMS
        }
    assert after == created
    assert {name: campus.stack.pid(name) for name in services} == pids
    for name in services:
        lines = campus.stack.log(name)[read_before[name] :].splitlines()
        assert not [line for line in lines if _is_loud(line)], name


def _is_loud(line: str) -> bool:
    if "Traceback" in line:
        return True
    try:
        return json.loads(line)["level"] in {"error", "critical"}
    except (ValueError, KeyError, TypeError):
        return "[error" in line
