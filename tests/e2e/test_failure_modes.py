"""What students see, and how soon, while a part is away, silent or cut off: the rows of docs/failure-modes.md.

Bounds are what the design says and what a busy machine may add, below the next wait that there is. Each test leaves everything running, and the
promise is checked after it: streams that were open all along have shown every status once.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest

from cafeteria.contracts.gateway import Order, PlaceOrder
from cafeteria.faultkit.history import Exchange, Intent
from cafeteria.faultkit.proxy import NO_NETWORK_FAULTS, NetworkFaults
from cafeteria.faultkit.tcp_proxy import Direction
from cafeteria.rush.faults import disk

AT_ONCE_MS = 1_000  # nothing is waited for, and the shortest wait there is would be seen
DONE_MS = 2_000  # nothing is waited for; a wait would be seen by the status, or is a database's three seconds
NOT_ASKED_MS = 1_250  # nothing is waited for, and the wait for a decision would be seen
ORDER_MS = 1_300 + 1_200  # an order's answer, whatever is silent
ASK_MS = 1_000 + 1_500  # the kitchen is asked, and readiness asks everybody, for a second
DATABASE_MS = 3_000 + 3_000  # for reads, logins and new streams a silent Postgres is away after three seconds
OWN_PATIENCE_S = 0.5  # a student's, with somebody who is alive and says nothing
MENU_S = 3.0 + 3.0  # what stock said counts for three seconds
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
    """What is promised of one kind of request. A 503 says what it is, and when to come back."""

    status: int | None
    within_ms: float = AT_ONCE_MS
    problem: str | None = None

    def holds(self, what: str, seen: Seen) -> None:
        problem = self.problem or (UNAVAILABLE if self.status == 503 else None)
        assert (seen.status, seen.problem) == (self.status, problem), f"{what}: {seen}"
        assert seen.took_ms < self.within_ms, f"{what}: {seen}"
        assert self.status != 503 or int(seen.retry_after or 0) >= 1, f"{what}: {seen}"


class Visitor:
    """A student who looks at the clock."""

    def __init__(self, campus: Any, student: Any, dish: UUID, lines: Any) -> None:
        self.campus, self.student, self.dish, self._lines = campus, student, dish, lines

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
                self.campus.http.request(method, url, data=body or None, headers=headers) as answer,
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
        return self._noted(seen, intent=Intent.ORDER, key=key, lines=self._lines, order_id=order_id)

    async def cancel(self, order_id: UUID) -> Seen:
        seen = await self.ask("POST", self._gateway(f"/v1/orders/{order_id}/cancel"))
        return self._noted(seen, intent=Intent.CANCEL, order_id=order_id)

    async def read(self, *, gateway: int = 0) -> Seen:
        return await self.ask("GET", self._gateway("/v1/orders", gateway))

    async def menu(self) -> Seen:
        return await self.ask("GET", self._gateway("/v1/menu"))

    async def log_in(self, *, patience_s: float = 10) -> Seen:
        body = msgspec.json.encode({"student_id": self.student.student_id, "password": "iftar-rush-2026"})
        return await self.ask(
            "POST", f"{self.campus.urls.identity}/v1/login", body=body, patience_s=patience_s
        )

    async def open_stream(self, *, patience_s: float = 10) -> Seen:
        return await self.ask("GET", f"{self.campus.urls.notifications[0]}/v1/events", patience_s=patience_s)

    async def is_unready(self, member: str, *, naming: str) -> None:
        seen = await self.ask("GET", f"{self.campus.stack.url(member)}/health/ready")
        assert seen.status == 503, seen
        assert f'"{naming}":"unavailable'.encode() in seen.body
        assert seen.took_ms < ASK_MS, seen

    async def until_cooked(self, *keys: str) -> None:
        """The orders under these keys, sent again, are accepted and end in time, counted from now."""
        async with asyncio.timeout(HEALED_S):
            for key in keys:
                accepted = await self.student.order(self._lines, key=key)
                assert accepted.status == 201
                await self.campus.until_status(accepted.order_id, "READY", "CANCELLED")

    def _gateway(self, path: str, number: int = 0) -> str:
        return f"{self.campus.urls.gateways[number]}{path}"

    def _noted(self, seen: Seen, **facts: Any) -> Seen:
        """For the check of the promise."""
        now_s = self.student.now_s()
        exchange = Exchange(
            student_id=self.student.student_id,
            sent_at_s=now_s - seen.took_ms / 1000,
            ended_at_s=now_s,
            status=seen.status,
            body=seen.body,
            **facts,
        )
        self.campus.history.exchanges.append(exchange)
        return seen


@pytest.fixture
async def visitor(campus, lines_of) -> Visitor:
    """With a stream that stays open."""
    student, dish = await campus.student(), await campus.dish(50)
    campus.follow(student)
    return Visitor(campus, student, dish, lines_of(dish))


@asynccontextmanager
async def frozen(campus, members: Sequence[str]) -> AsyncIterator[None]:
    """They are alive, and answer nobody."""
    for member in members:
        campus.stack.kill(member, signal.SIGSTOP)
    try:
        yield
    finally:
        for member in members:
            campus.stack.kill(member, signal.SIGCONT)


@asynccontextmanager
async def stopped(campus, members: Sequence[str]) -> AsyncIterator[None]:
    """They are away."""
    await asyncio.gather(*map(campus.stack.stop, members))
    try:
        yield
    finally:
        await asyncio.gather(*map(campus.stack.start, members))


NONE = Expected(None, DONE_MS)  # refused at once, or given up by a student whose patience ends
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
async def test_what_students_see_without(campus, visitor, how: Any, parts: Any, expected: Any) -> None:
    patience_s = OWN_PATIENCE_S if NONE in expected.values() else 10
    async with AsyncExitStack() as faults:
        if "cancel_earlier" in expected:  # one that the kitchen has not begun
            await faults.enter_async_context(frozen(campus, ["kitchen"]))
            earlier = (await visitor.order("earlier")).order_id
        members = [member for part in parts for member in campus.members(part)]
        await faults.enter_async_context(how(campus, members))
        asking = {
            "order": visitor.order("meanwhile"),
            "read": visitor.read(),
            "menu": visitor.menu(),
            "log_in": visitor.log_in(patience_s=patience_s),
            "open_stream": visitor.open_stream(patience_s=patience_s),
        }
        if "cancel_earlier" in expected:
            asking["cancel_earlier"] = visitor.cancel(earlier)
            asking["ready"] = visitor.is_unready("gateway", naming=parts[0])
        seen = dict(zip(asking, await asyncio.gather(*asking.values()), strict=True))
        if "order_again" in expected:
            seen["order_again"] = await visitor.order("again")
        if "cancel" in expected:
            seen["cancel"] = await visitor.cancel(seen["order"].order_id)
        for what, promised in expected.items():
            promised.holds(what, seen[what])
        if "stock" in parts:
            async with asyncio.timeout(MENU_S):
                await campus.until_all_menus_say(visitor.dish, None)
    await visitor.until_cooked("meanwhile")


async def test_without_any_gateway_what_was_accepted_is_cooked_and_the_stream_shows_it(
    campus, visitor, wait_until
) -> None:
    async with AsyncExitStack() as faults:
        async with frozen(campus, ["kitchen"]):
            accepted = await visitor.order("before")
            await wait_until(lambda: campus.versions_seen(visitor.student, accepted.order_id) == [1, 2])
            await faults.enter_async_context(stopped(campus, campus.members("gateway")))
        NONE.holds("order", await visitor.order("meanwhile"))
        await campus.until_seen(visitor.student, accepted.order_id, versions=[1, 2, 3, 4])
    await visitor.until_cooked("meanwhile")


async def test_with_one_of_two_gateways_frozen_or_dead_the_other_answers_under_the_same_key(
    campus, visitor
) -> None:
    campus.stack.kill("gateway-2", signal.SIGSTOP)
    try:
        given_up = await visitor.order("k", gateway=1, patience_s=OWN_PATIENCE_S)
        accepted = await visitor.order("k")
    finally:
        campus.stack.kill("gateway-2")
    assert given_up.status is None
    ACCEPTED.holds("order", accepted)
    NONE.holds("order", await visitor.order("l", gateway=1))
    ACCEPTED.holds("order", await visitor.order("l"))
    async with asyncio.timeout(HEALED_S):
        await campus.stack.ready("gateway-2")
    again = await visitor.order("k", gateway=1)
    assert (again.status, again.body) == (201, accepted.body)


async def test_with_one_of_two_stocks_frozen_orders_are_received_in_time_and_with_it_dead_accepted(
    campus, visitor
) -> None:
    keys = [f"frozen-{number}" for number in range(6)]
    campus.stack.kill("stock-2", signal.SIGSTOP)
    try:
        orders = await asyncio.gather(*map(visitor.order, keys))
    finally:
        await campus.kill_until_the_bus_knows("stock-2")
    assert {order.status for order in orders} <= {201, 202}
    assert max(order.took_ms for order in orders) < ORDER_MS
    ACCEPTED.holds("order", await visitor.order("dead"))
    await visitor.until_cooked(*keys, "dead")
    await campus.stack.ready("stock-2")


async def test_while_somebody_holds_a_row_of_stock_orders_are_received(campus, visitor) -> None:
    async with campus.database() as rogue, rogue.transaction():
        await rogue.execute("SELECT FROM stock.inventory WHERE item_id = $1 FOR UPDATE", visitor.dish)
        Expected(202, ORDER_MS).holds("order", await visitor.order("held"))
    await visitor.until_cooked("held")


@pytest.mark.skipif(not disk.IS_POSSIBLE, reason="only root on Linux may mount a full file system")
async def test_with_the_disk_of_nats_full_orders_are_accepted_and_cooked_once_there_is_room(
    campus, visitor, wait_until
) -> None:
    store, keys = campus.stack.home.nats / "store", []
    async with AsyncExitStack() as faults:
        async with stopped(campus, ["nats"]):
            await asyncio.to_thread(disk._move_to_memory, store)
        faults.push_async_callback(give_room, campus, store)
        await asyncio.to_thread(disk._fill, store / disk.BALLAST)
        await wait_until(lambda: is_full(visitor, keys))
        full = await visitor.order("full")
        ACCEPTED.holds("order", full)
        FINE.holds("open_stream", await visitor.open_stream())
        cancelled = await visitor.cancel(full.order_id)  # its work may have found room
        assert cancelled.status == 200 or cancelled.problem == "/problems/too-late-to-cancel", cancelled
    await visitor.until_cooked(*keys, "full")


async def is_full(visitor: Visitor, keys: list[str]) -> bool:
    """The last pages of its files still take some news."""
    keys.append(f"drop-{len(keys)}")
    await visitor.order(keys[-1])
    return (await visitor.ask("GET", f"{visitor.campus.stack.servers.monitor_url}/healthz")).status == 503


async def give_room(campus, store: Any) -> None:
    async with stopped(campus, ["nats"]):
        await asyncio.to_thread(disk._move_back, store)


async def test_with_a_bad_network_one_gateway_is_late_or_says_503_and_the_other_answers(
    campus, visitor
) -> None:
    bus, database = campus.network["nats"], campus.network["postgres"]
    bus.faults = NetworkFaults(latency_ms=SLOW_MS)
    ACCEPTED.holds("slow", await visitor.order("slow", gateway=1))
    bus.faults = SILENT
    Expected(202, ORDER_MS).holds("no bus", await visitor.order("no-bus", gateway=1))
    bus.faults, database.faults = NO_NETWORK_FAULTS, SILENT
    order, read, elsewhere, _ = await asyncio.gather(
        visitor.order("no-database", gateway=1),
        visitor.read(gateway=1),
        visitor.order("elsewhere"),
        visitor.is_unready("gateway-2", naming="postgres"),
    )
    database.faults = NO_NETWORK_FAULTS
    Expected(503, ORDER_MS).holds("no database", order)
    GIVEN_UP.holds("no database", read)
    ACCEPTED.holds("elsewhere", elsewhere)
    await visitor.until_cooked("slow", "no-bus", "no-database")
