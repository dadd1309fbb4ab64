"""Each undo runs at the service that performs it, by the golden requests: portions return, tickets are not cooked."""

from typing import Any

import httpx
import msgspec

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import kitchen, stock, subjects
from cafeteria.contracts.channels import HEADER_MESSAGE_ID
from cafeteria.testkit.plugin import has_read_all

DEADLINE_S = 5.0


async def ask(servers: Any, rpc: Any, request: bytes) -> Any:
    async with servers.bus_as(subjects.GATEWAY) as client:
        reply = await client.request(rpc.subject, request, timeout=DEADLINE_S)
    return msgspec.json.decode(reply.data, type=rpc.reply)


async def decision_on(servers: Any, order: stock.ReserveStock) -> stock.Decision:
    decided = await ask(servers, subjects.RESERVE, msgspec.json.encode(stock.ReserveOrders(orders=(order,))))
    [decision] = decided.decisions
    return stock.Decision(decision.decision)


async def test_released_portions_come_back_exactly_once(
    start: Any, servers: Any, golden: Any, add_items: Any
) -> None:
    order = msgspec.json.decode(golden(stock.ReserveStock)[""], type=stock.ReserveStock)
    await add_items(order.lines, quantity=10)
    await start(subjects.STOCK)
    assert await decision_on(servers, order) is stock.Decision.RESERVED
    released = await ask(servers, subjects.RELEASE, golden(stock.ReleaseStock)[""])
    assert await ask(servers, subjects.RELEASE, golden(stock.ReleaseStock)[""]) == released
    async with servers.database_as_admin() as connection:
        left = await connection.fetch("SELECT quantity FROM stock.inventory")
        ledger = await connection.fetch(
            "SELECT item_id, sum(quantity_deducted) AS deducted, count(*) AS entries FROM stock.stock_transactions GROUP BY 1"
        )
    assert [row["quantity"] for row in left] == [10, 10]
    assert [(row["deducted"], row["entries"]) for row in ledger] == [(0, 2), (0, 2)]


async def test_an_order_released_before_stock_saw_it_never_takes_anything(
    start: Any, servers: Any, golden: Any, add_items: Any
) -> None:
    order = msgspec.json.decode(golden(stock.ReserveStock)[""], type=stock.ReserveStock)
    await add_items(order.lines)
    await start(subjects.STOCK)
    await ask(servers, subjects.RELEASE, golden(stock.ReleaseStock)[""])
    assert await decision_on(servers, order) is stock.Decision.REJECTED
    async with servers.database_as_admin() as connection:
        assert await connection.fetchval("SELECT count(*) FROM stock.stock_transactions") == 0


async def publish_cook_command(servers: Any, command: bytes) -> None:
    """One order, in a message of its own."""
    message = b'{"orders":[%b]}' % command
    async with servers.bus_as(subjects.GATEWAY) as client:
        await client.jetstream().publish(
            subjects.WORK_PLACED.subject, message, headers={HEADER_MESSAGE_ID: str(new_id())}
        )


async def test_a_waiting_ticket_is_cancelled_once(
    start: Any, servers: Any, golden: Any, wait_until: Any
) -> None:
    await start(subjects.KITCHEN, KITCHEN_MODE="manual")
    await publish_cook_command(servers, golden(kitchen.CookOrder)[""])
    async with servers.database_as_admin() as connection:
        await wait_until(lambda: connection.fetchval("SELECT 1 FROM kitchen.kitchen_orders"))
        first = await ask(servers, subjects.CANCEL, golden(kitchen.CancelTicket)[""])
        assert await ask(servers, subjects.CANCEL, golden(kitchen.CancelTicket)[""]) == first
        statuses = await connection.fetch("SELECT status FROM kitchen.order_status_history")
    assert first.cancelled
    assert [row["status"] for row in statuses] == ["CANCELLED"]


async def test_a_cook_command_that_arrives_after_its_cancel_is_never_cooked(
    start: Any, servers: Any, golden: Any, wait_until: Any
) -> None:
    await start(subjects.KITCHEN, KITCHEN_PREP_MIN_S=0, KITCHEN_PREP_MAX_S=0)
    answer = await ask(servers, subjects.CANCEL, golden(kitchen.CancelTicket)[""])
    assert answer.cancelled
    await publish_cook_command(servers, golden(kitchen.CookOrder)[""])

    async def command_is_acknowledged() -> bool:
        async with servers.bus_as("admin") as client:
            return await has_read_all(client, subjects.KITCHEN_WORK)

    await wait_until(command_is_acknowledged)
    async with servers.database_as_admin() as connection:
        tickets = await connection.fetch("SELECT status FROM kitchen.kitchen_orders")
    assert [row["status"] for row in tickets] == ["CANCELLED"]


async def test_a_ticket_that_is_being_cooked_is_not_cancelled(
    start: Any, servers: Any, golden: Any, wait_until: Any, tokens: Any
) -> None:
    url = await start(subjects.KITCHEN, KITCHEN_MODE="manual")
    await publish_cook_command(servers, golden(kitchen.CookOrder)[""])
    async with httpx.AsyncClient(base_url=url, headers=tokens.header(tokens.kitchen())) as cook:

        async def first_ticket() -> Any:
            tickets = (await cook.get("/v1/tickets")).json()["items"]
            return tickets and tickets[0]["id"]

        ticket_id = await wait_until(first_ticket)
        started = await cook.post(f"/v1/tickets/{ticket_id}/start")
    assert started.status_code == httpx.codes.OK, started.text
    answer = await ask(servers, subjects.CANCEL, golden(kitchen.CancelTicket)[""])
    assert (answer.cancelled, answer.status) == (False, "IN_KITCHEN")


async def test_portions_of_a_refused_order_come_back_exactly_once(
    start: Any, servers: Any, golden: Any, wait_until: Any, add_items: Any, tokens: Any
) -> None:
    order = msgspec.json.decode(golden(stock.ReserveStock)[""], type=stock.ReserveStock)
    await add_items(order.lines, quantity=10)
    await start(subjects.STOCK)
    kitchen_url = await start(subjects.KITCHEN, KITCHEN_MODE="manual")
    gateway_url = await start(subjects.GATEWAY)
    async with servers.database_as_admin() as connection:
        order_url = await placed_and_refused(
            f"{gateway_url}/v1/orders", f"{kitchen_url}/v1/tickets", order.lines, wait_until, tokens
        )
        await wait_until(lambda: connection.fetchval("SELECT released_at FROM gateway.orders"))
        async with httpx.AsyncClient(headers=tokens.header(tokens.student())) as student:
            cancelled = await student.post(f"{order_url}/cancel")
        assert (cancelled.status_code, cancelled.json()["reason"]) == (httpx.codes.OK, "KITCHEN")
        left = await connection.fetch("SELECT quantity FROM stock.inventory")
        entries = await connection.fetchval("SELECT count(*) FROM stock.stock_transactions")
    assert [row["quantity"] for row in left] == [10, 10]
    assert entries == 2 * len(order.lines)


async def placed_and_refused(
    orders_url: str, tickets_url: str, lines: Any, wait_until: Any, tokens: Any
) -> str:
    """Place an order, refuse its ticket, and return the order's URL."""
    async with httpx.AsyncClient() as web:
        student, cook = tokens.header(tokens.student()), tokens.header(tokens.kitchen())
        body = msgspec.json.encode({"lines": lines})
        key = {"Idempotency-Key": str(new_id()), "Content-Type": "application/json"}
        placed = await web.post(orders_url, content=body, headers=student | key)
        assert placed.status_code == httpx.codes.CREATED, placed.text

        async def first_ticket() -> Any:
            tickets = (await web.get(tickets_url, headers=cook)).json()["items"]
            return tickets and tickets[0]["id"]

        ticket_id = await wait_until(first_ticket)
        why = {"reason": "The fryer is broken."}
        refused = await web.post(f"{tickets_url}/{ticket_id}/refuse", json=why, headers=cook)
        assert refused.status_code == httpx.codes.OK, refused.text
    return f"{orders_url}/{placed.json()['id']}"
