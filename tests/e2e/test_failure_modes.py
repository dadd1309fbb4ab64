"""What students see, and how soon, while a part is away, silent or cut off: the rows of docs/failure-modes.md.

A bound is the design's time limit and what a busy machine may add, below the next longer limit. Each test leaves
everything running, and the promise is checked after it: streams that stayed open have shown every status once.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import aiohttp
import msgspec
import pytest

from cafeteria.contracts.gateway import Order, PlaceOrder
from cafeteria.faultkit.history import Exchange, Intent
from cafeteria.faultkit.proxy import NO_NETWORK_FAULTS, NetworkFaults
from cafeteria.faultkit.tcp_proxy import Direction
from cafeteria.rush.faults import disk

if TYPE_CHECKING:
    from conftest import RunningStack

AT_ONCE_MS = 1_000  # nothing is waited for, and the shortest wait there is would be seen
DONE_MS = 2_000  # nothing is waited for; a wait would be seen by the status, or is a database's three seconds
NOT_ASKED_MS = 1_250  # nothing is waited for, and the wait for a decision would be seen
ORDER_MS = 1_300 + 1_200  # an order's answer, whatever is silent
ASK_MS = 1_000 + 1_500  # the kitchen is asked, and readiness asks everybody, for a second
DATABASE_MS = 3_000 + 3_000  # for reads, logins and new streams a silent Postgres is away after three seconds
OWN_PATIENCE_S = 0.5  # a student's, with a service that is alive and does not answer
MENU_S = 3.0 + 3.0  # stock's last availability counts for three seconds
SLOW_MS = 150  # each way, for each chunk
HEALED_S = 15.0 + 15.0  # from the moment when everything runs again to READY
UNAVAILABLE = "/problems/unavailable"
SILENT = NetworkFaults(lost=frozenset(Direction))


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One answer; `status` is None where none came, `problem` the problem document's type."""

    status: int | None
    took_ms: float
    problem: str | None = None
    retry_after: str | None = None
    body: bytes = b""

    @property
    def order_id(self) -> UUID:
        return msgspec.json.decode(self.body, type=Order).id


class Expected(msgspec.Struct, frozen=True):
    """The promised answer to one kind of request. A 503 is a problem document with `Retry-After`."""

    status: int | None
    within_ms: float = AT_ONCE_MS
    problem: str | None = None

    def holds(self, what: str, seen: Seen) -> None:
        problem = self.problem or (UNAVAILABLE if self.status == 503 else None)
        assert (seen.status, seen.problem) == (self.status, problem), f"{what}: {seen}"
        assert seen.took_ms < self.within_ms, f"{what}: {seen}"
        assert self.status != 503 or int(seen.retry_after or 0) >= 1, f"{what}: {seen}"


class TimedClient:
    """A student who measures how long each answer takes."""

    def __init__(self, stack: "RunningStack", student: Any, dish: UUID, lines: Any) -> None:
        self.stack, self.student, self.dish, self._lines = stack, student, dish, lines

    async def ask(
        self, method: str, url: str, *, body: bytes = b"", key: str | None = None, patience_s: float = 10
    ) -> Seen:
        """A stream has answered as soon as it is open."""
        headers = {**self.student.authorization, "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        began = monotonic()
        try:
            async with (
                asyncio.timeout(patience_s),
                self.stack.http.request(method, url, data=body or None, headers=headers) as answer,
            ):
                took_ms = (monotonic() - began) * 1000
                whole = b"" if answer.content_type == "text/event-stream" else await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return Seen(status=None, took_ms=(monotonic() - began) * 1000)
        is_problem = answer.content_type == "application/problem+json"
        return Seen(
            status=answer.status,
            took_ms=took_ms,
            problem=msgspec.json.decode(whole)["type"] if is_problem else None,
            retry_after=answer.headers.get("Retry-After"),
            body=whole,
        )

    async def order(self, key: str, *, gateway: int = 0, patience_s: float = 10) -> Seen:
        url, body = self._gateway("/v1/orders", gateway), msgspec.json.encode(PlaceOrder(lines=self._lines))
        seen = await self.ask("POST", url, body=body, key=key, patience_s=patience_s)
        order_id = seen.order_id if seen.status in {201, 202} else None
        return self._recorded(seen, intent=Intent.ORDER, key=key, lines=self._lines, order_id=order_id)

    async def cancel(self, order_id: UUID) -> Seen:
        seen = await self.ask("POST", self._gateway(f"/v1/orders/{order_id}/cancel"))
        return self._recorded(seen, intent=Intent.CANCEL, order_id=order_id)

    async def read(self, *, gateway: int = 0) -> Seen:
        return await self.ask("GET", self._gateway("/v1/orders", gateway))

    async def menu(self) -> Seen:
        return await self.ask("GET", self._gateway("/v1/menu"))

    async def log_in(self, *, patience_s: float = 10) -> Seen:
        body = msgspec.json.encode({"student_id": self.student.student_id, "password": "iftar-rush-2026"})
        return await self.ask(
            "POST", f"{self.stack.urls.identity}/v1/login", body=body, patience_s=patience_s
        )

    async def open_stream(self, *, patience_s: float = 10) -> Seen:
        return await self.ask("GET", f"{self.stack.urls.notifications[0]}/v1/events", patience_s=patience_s)

    async def is_unready(self, member: str, *, naming: str) -> None:
        seen = await self.ask("GET", f"{self.stack.processes.url(member)}/health/ready")
        assert seen.status == 503, seen
        assert f'"{naming}":"unavailable'.encode() in seen.body
        assert seen.took_ms < ASK_MS, seen

    async def until_cooked(self, *keys: str) -> None:
        """Send the orders under these keys again: each is accepted, and ends within `HEALED_S` of now."""
        async with asyncio.timeout(HEALED_S):
            for key in keys:
                accepted = await self.student.order(self._lines, key=key)
                assert accepted.status == 201
                await self.stack.until_status(accepted.order_id, "READY", "CANCELLED")

    def _gateway(self, path: str, number: int = 0) -> str:
        return f"{self.stack.urls.gateways[number]}{path}"

    def _recorded(self, seen: Seen, **facts: Any) -> Seen:
        """Record the answer in the history, for the check of the promise."""
        now_s = self.student.now_s()
        exchange = Exchange(
            student_id=self.student.student_id,
            sent_at_s=now_s - seen.took_ms / 1000,
            ended_at_s=now_s,
            status=seen.status,
            body=seen.body,
            **facts,
        )
        self.stack.history.exchanges.append(exchange)
        return seen


@pytest.fixture
async def client(stack: "RunningStack", lines_of) -> TimedClient:
    """A student with an item to order, and an event stream that stays open."""
    student, dish = await stack.student(), await stack.dish(50)
    stack.follow(student)
    return TimedClient(stack, student, dish, lines_of(dish))


@asynccontextmanager
async def frozen(stack: "RunningStack", members: Sequence[str]) -> AsyncIterator[None]:
    """The processes are alive and answer nothing (SIGSTOP)."""
    for member in members:
        stack.processes.kill(member, signal.SIGSTOP)
    try:
        yield
    finally:
        for member in members:
            stack.processes.kill(member, signal.SIGCONT)


@asynccontextmanager
async def stopped(stack: "RunningStack", members: Sequence[str]) -> AsyncIterator[None]:
    """The processes are gone, and their addresses refuse connections."""
    await asyncio.gather(*map(stack.processes.stop, members))
    try:
        yield
    finally:
        await asyncio.gather(*map(stack.processes.start, members))


NONE = Expected(None, DONE_MS)  # refused at once, or the student's own time limit ends
FINE, ACCEPTED = Expected(200, DONE_MS), Expected(201, DONE_MS)
AWAY, UNANSWERED, GIVEN_UP = Expected(503), Expected(503, ASK_MS), Expected(503, DATABASE_MS)
UNASKED, UNDECIDED = Expected(202, NOT_ASKED_MS), Expected(409, ORDER_MS, "/problems/order-undecided")
AS_EVER = {"read": FINE, "menu": FINE, "log_in": FINE, "open_stream": FINE}
NO_DATABASE = dict.fromkeys(("read", "log_in", "cancel_earlier"), Expected(503, DONE_MS))  # a new stream ends
SILENT_DATABASE = dict.fromkeys(NO_DATABASE, GIVEN_UP) | {"open_stream": Expected(200, DATABASE_MS)}
SILENT_DATABASE["order_again"] = Expected(503, problem="/problems/overloaded")  # refused before it is written
NOBODY = dict.fromkeys(("log_in", "open_stream"), NONE)
AROUND = ("identity", "kitchen", "notification")


def outage(name: str, how: Any, *parts: str, order: Expected, **others: Expected) -> Any:
    """`cancel` is of the order placed meanwhile, `cancel_earlier` of one accepted before."""
    return pytest.param(how, parts, {"order": order, **AS_EVER, **others}, id=name)


@pytest.mark.parametrize(
    ("how", "parts", "expected"),
    [
        outage("around-stopped", stopped, *AROUND, order=ACCEPTED, cancel=AWAY, **NOBODY),
        outage("around-frozen", frozen, *AROUND, order=ACCEPTED, cancel=UNANSWERED, **NOBODY),
        outage("stock-stopped", stopped, "stock", order=UNASKED, cancel=UNDECIDED),
        outage("postgres-stopped", stopped, "postgres", order=AWAY, **NO_DATABASE),
        outage("postgres-frozen", frozen, "postgres", order=Expected(503, ORDER_MS), **SILENT_DATABASE),
        outage("nats-stopped", stopped, "nats", order=UNASKED, cancel_earlier=AWAY),
        outage("nats-frozen", frozen, "nats", order=Expected(202, ORDER_MS), cancel_earlier=UNANSWERED),
    ],
)
async def test_what_students_see_without(
    stack: "RunningStack", client: TimedClient, how: Any, parts: Any, expected: Any
) -> None:
    patience_s = OWN_PATIENCE_S if NONE in expected.values() else 10
    async with AsyncExitStack() as faults:
        if "cancel_earlier" in expected:  # an order that the kitchen has not begun
            await faults.enter_async_context(frozen(stack, ["kitchen"]))
            earlier = (await client.order("earlier")).order_id
        members = [member for part in parts for member in stack.replicas(part)]
        await faults.enter_async_context(how(stack, members))
        asking: dict[str, Awaitable[Any]] = {
            "order": client.order("meanwhile"),
            "read": client.read(),
            "menu": client.menu(),
            "log_in": client.log_in(patience_s=patience_s),
            "open_stream": client.open_stream(patience_s=patience_s),
        }
        if "cancel_earlier" in expected:
            asking["cancel_earlier"] = client.cancel(earlier)
            asking["ready"] = client.is_unready("gateway", naming=parts[0])
        seen = dict(zip(asking, await asyncio.gather(*asking.values()), strict=True))
        if "order_again" in expected:
            seen["order_again"] = await client.order("again")
        if "cancel" in expected:
            seen["cancel"] = await client.cancel(seen["order"].order_id)
        for what, promised in expected.items():
            promised.holds(what, seen[what])
        if "stock" in parts:
            async with asyncio.timeout(MENU_S):
                await stack.until_all_menus_show(client.dish, None)
    await client.until_cooked("meanwhile")


async def test_without_any_gateway_what_was_accepted_is_cooked_and_the_stream_shows_it(
    stack: "RunningStack", client: TimedClient, wait_until
) -> None:
    async with AsyncExitStack() as faults:
        async with frozen(stack, ["kitchen"]):
            accepted = await client.order("before")
            await wait_until(lambda: stack.versions_seen(client.student, accepted.order_id) == [1, 2])
            await faults.enter_async_context(stopped(stack, stack.replicas("gateway")))
        NONE.holds("order", await client.order("meanwhile"))
        await stack.until_seen(client.student, accepted.order_id, versions=[1, 2, 3, 4])
    await client.until_cooked("meanwhile")


async def test_with_one_of_two_gateways_frozen_or_dead_the_other_answers_under_the_same_key(
    stack: "RunningStack", client: TimedClient
) -> None:
    stack.processes.kill("gateway-2", signal.SIGSTOP)
    try:
        given_up = await client.order("k", gateway=1, patience_s=OWN_PATIENCE_S)
        accepted = await client.order("k")
    finally:
        stack.processes.kill("gateway-2")
    assert given_up.status is None
    ACCEPTED.holds("order", accepted)
    NONE.holds("order", await client.order("l", gateway=1))
    ACCEPTED.holds("order", await client.order("l"))
    async with asyncio.timeout(HEALED_S):
        await stack.processes.ready("gateway-2")
    again = await client.order("k", gateway=1)
    assert (again.status, again.body) == (201, accepted.body)


async def test_with_one_of_two_stocks_frozen_orders_are_received_in_time_and_with_it_dead_accepted(
    stack: "RunningStack", client: TimedClient
) -> None:
    keys = [f"frozen-{number}" for number in range(6)]
    stack.processes.kill("stock-2", signal.SIGSTOP)
    try:
        orders = await asyncio.gather(*map(client.order, keys))
    finally:
        await stack.kill_until_the_bus_has_noticed("stock-2")
    assert {order.status for order in orders} <= {201, 202}
    assert max(order.took_ms for order in orders) < ORDER_MS
    ACCEPTED.holds("order", await client.order("dead"))
    await client.until_cooked(*keys, "dead")
    await stack.processes.ready("stock-2")


async def test_while_another_session_locks_a_row_of_stock_orders_are_received(
    stack: "RunningStack", client: TimedClient
) -> None:
    async with stack.database() as other, other.transaction():
        await other.execute("SELECT FROM stock.inventory WHERE item_id = $1 FOR UPDATE", client.dish)
        Expected(202, ORDER_MS).holds("order", await client.order("held"))
    await client.until_cooked("held")


@pytest.mark.skipif(not disk.IS_POSSIBLE, reason="only root on Linux may mount a full file system")
async def test_with_the_disk_of_nats_full_orders_are_accepted_and_cooked_once_there_is_room(
    stack: "RunningStack", client: TimedClient, wait_until
) -> None:
    store = stack.processes.home.nats / "store"
    keys: list[str] = []
    async with AsyncExitStack() as faults:
        async with stopped(stack, ["nats"]):
            await asyncio.to_thread(disk._move_to_memory, store)
        faults.push_async_callback(free_the_disk, stack, store)
        await asyncio.to_thread(disk._fill, store / disk.BALLAST)
        await wait_until(lambda: is_full(client, keys))
        full = await client.order("full")
        ACCEPTED.holds("order", full)
        FINE.holds("open_stream", await client.open_stream())
        cancelled = await client.cancel(full.order_id)  # its cook command may have been stored
        assert cancelled.status == 200 or cancelled.problem == "/problems/too-late-to-cancel", cancelled
    await client.until_cooked(*keys, "full")


async def is_full(client: TimedClient, keys: list[str]) -> bool:
    """Place orders until NATS is unhealthy: the last pages of its files still hold some events."""
    keys.append(f"drop-{len(keys)}")
    await client.order(keys[-1])
    return (await client.ask("GET", f"{client.stack.processes.servers.monitor_url}/healthz")).status == 503


async def free_the_disk(stack: "RunningStack", store: Any) -> None:
    async with stopped(stack, ["nats"]):
        await asyncio.to_thread(disk._move_back, store)


async def test_with_a_bad_network_one_gateway_is_late_or_says_503_and_the_other_answers(
    stack: "RunningStack", client: TimedClient
) -> None:
    bus, database = stack.network["nats"], stack.network["postgres"]
    bus.faults = NetworkFaults(latency_ms=SLOW_MS)
    ACCEPTED.holds("slow", await client.order("slow", gateway=1))
    bus.faults = SILENT
    Expected(202, ORDER_MS).holds("no bus", await client.order("no-bus", gateway=1))
    bus.faults, database.faults = NO_NETWORK_FAULTS, SILENT
    order, read, elsewhere, _ = await asyncio.gather(
        client.order("no-database", gateway=1),
        client.read(gateway=1),
        client.order("elsewhere"),
        client.is_unready("gateway-2", naming="postgres"),
    )
    database.faults = NO_NETWORK_FAULTS
    Expected(503, ORDER_MS).holds("no database", order)
    GIVEN_UP.holds("no database", read)
    ACCEPTED.holds("elsewhere", elsewhere)
    await client.until_cooked("slow", "no-bus", "no-database")
