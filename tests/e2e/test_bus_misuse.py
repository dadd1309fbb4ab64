"""A service's credentials on the bus, misused, harm no stream and no other service, and cause no error in a log."""

import json
import random
from typing import TYPE_CHECKING, Any

from cafeteria.contracts.subjects import SERVICES, STREAMS
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.rush.faults.bus_users import misuse

if TYPE_CHECKING:
    from conftest import RunningStack

MESSAGES = 60


async def test_misused_credentials_stop_no_stream_and_raise_nothing_in_any_service(
    stack: "RunningStack", lines_of: Any, order_in: Any
) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    stack.follow(student)
    services = [name for name in stack.processes.names if name.partition("-")[0] in SERVICES]
    pids = {name: stack.processes.pid(name) for name in services}
    read_before = {name: len(stack.processes.log(name)) for name in services}
    async with BusAdmin(stack.processes.servers.nats_admin_url) as admin:
        created = {
            stream.name: (await admin.ask(f"STREAM.INFO.{stream.name}"))["created"] for stream in STREAMS
        }
        orders = []
        for user in SERVICES:
            chance = random.Random(user)  # noqa: S311 - repeatable on purpose
            await misuse(stack.processes.servers, user, chance, messages=MESSAGES)
            orders.append(order_in(await student.order(lines_of(dish), key=f"misuse-{user}")))
        await stack.until_all_are([order.id for order in orders], "READY")
        await stack.until_seen(student, *(order.id for order in orders), versions=[1, 2, 3, 4])
        after = {
            stream.name: (await admin.ask(f"STREAM.INFO.{stream.name}"))["created"] for stream in STREAMS
        }
    assert after == created
    assert {name: stack.processes.pid(name) for name in services} == pids
    for name in services:
        lines = stack.processes.log(name)[read_before[name] :].splitlines()
        assert not [line for line in lines if _is_loud(line)], name


def _is_loud(line: str) -> bool:
    if "Traceback" in line:
        return True
    try:
        return json.loads(line)["level"] in {"error", "critical"}
    except (ValueError, KeyError, TypeError):
        return "[error" in line
