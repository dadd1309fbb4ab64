"""One stack with its edge and one browser serve all tests of this folder; each test has students, dishes and contexts of its own.

What the pages order is recorded in `site.history`, as load clients record it.
"""

import itertools
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest
from playwright.async_api import Browser, BrowserContext, Error, Page, expect

from cafeteria.contracts.gateway import Menu, Order, OrderLine, PlaceOrder
from cafeteria.contracts.kitchen import Ticket, Tickets
from cafeteria.contracts.stock import CreateItem, Item
from cafeteria.faultkit.browser_orders import BrowserOrders
from cafeteria.faultkit.history import Exchange, History, Intent
from cafeteria.faultkit.invariants import check
from cafeteria.faultkit.snapshot import read_snapshot
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack
from cafeteria.provisioning.administrator import connected
from cafeteria.provisioning.demo_data import PASSWORD, STUDENTS
from cafeteria.testkit.chromium import NoChromiumError, find_chromium, running_chromium
from cafeteria.testkit.page_faults import PageFaults
from cafeteria.testkit.plugin import until
from cafeteria.testkit.tokens import Tokens

expect.set_options(timeout=15_000)  # of a busy machine; what a person waits is measured where it matters
FOLDER = Path(__file__).parent
ALWAYS = {"test_harness.py", "test_student_orders.py", "test_units.py"}
"""What every run of the whole suite drives in a browser; the others take minutes: `./just test -m pages tests/pages`."""
PHONE = (360, 640)
PLACE = {"locale": "en-GB", "timezone_id": "Asia/Dhaka"}
PATIENCE_MS = 15_000
SETTLE_S = 60.0
QUICK_KITCHEN = {"KITCHEN_PREP_MIN_S": "0.2", "KITCHEN_PREP_MAX_S": "0.4"}
NAMED = {
    "student": ("/", "localhost", ""),
    "kitchen": ("/kitchen", "kitchen.localhost", "kitchen-1"),
    "board": ("/board", "localhost", None),
    "ops": ("/ops", "ops.localhost", "operator-1"),
}
"""Path, host and user of each; "" is a new student, None nobody."""
STAFF = ("kitchen-", "operator-")
OPEN_TICKETS = {"QUEUED": "start", "IN_KITCHEN": "ready", "READY": "collect"}
OUTCOME: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.pages)
            if item.path.name not in ALWAYS:
                item.add_marker(pytest.mark.heavy)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[OUTCOME] = report.passed
    return report


class Site:
    """The running system as people reach it, through the edge, with what a test needs besides a browser."""

    def __init__(self, processes: Stack, http: aiohttp.ClientSession) -> None:
        self.processes = processes
        self.http = http
        self.history = History()
        self.browser_orders = BrowserOrders(self.history)
        self.tokens = Tokens(processes.servers.credentials.signing_key_file)
        self.port = urlsplit(processes.url("edge")).port
        self.url = self.at("localhost")
        self._students = iter(STUDENTS)
        self._names = (f"Dish {number}" for number in itertools.count(1))

    def at(self, host: str) -> str:
        """Return the base URL of a host name: cookies of `kitchen.localhost` are not those of `localhost`."""
        return f"http://{host}:{self.port}"

    def is_own(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.port == self.port and (parts.hostname or "").rpartition(".")[2] == "localhost"

    def student(self) -> str:
        """Return the id of a student that no other test uses."""
        return next(self._students)

    async def sign_in(self, context: BrowserContext, who: str, *, host: str = "localhost") -> None:
        """Sign the context's pages in: a student with a login; staff, whom many tests share, with a token of their own."""
        if who.startswith(STAFF):
            token = self.tokens.operator(who) if who.startswith("operator-") else self.tokens.kitchen(who)
            cookie: Any = {"name": "cafeteria_access", "value": token, "url": self.at(host), "httpOnly": True}
            await context.add_cookies([{**cookie, "sameSite": "Lax"}])
            return
        login = {"student_id": who, "password": PASSWORD, "cookie": True, "tokens": False}
        origin = {"Origin": self.at(host)}
        answer = await context.request.post(f"{self.at(host)}/v1/login", data=login, headers=origin)
        assert answer.ok, await answer.text()

    async def dish(self, quantity: int, *, name: str | None = None, price: str = "3.50") -> Item:
        """A new item with so many portions, on the gateway's menu."""
        wanted = CreateItem(name=name or next(self._names), price=price, quantity=quantity)
        item = msgspec.json.decode(await self.send("POST", "stock", "/v1/items", wanted), type=Item)

        async def is_on_the_menu() -> bool:
            menu = msgspec.json.decode(await self.send("GET", "gateway", "/v1/menu"), type=Menu)
            return any(each.item_id == item.id and each.available == quantity for each in menu.items)

        await until(is_on_the_menu)
        return item

    async def order(self, student_id: str, item_id: UUID, quantity: int = 1) -> Order:
        """Order without a browser; the order is accepted."""
        key, sent_at_s = uuid4().hex, self.browser_orders.now_s()
        wanted = PlaceOrder(lines=(OrderLine(item_id=item_id, quantity=quantity),))
        token = self.tokens.student(student_id)
        body = await self.send("POST", "gateway", "/v1/orders", wanted, token=token, key=key)
        times: Any = {"sent_at_s": sent_at_s, "ended_at_s": self.browser_orders.now_s()}
        sent = Exchange(intent=Intent.ORDER, student_id=student_id, key=key, status=201, body=body, **times)
        self.history.exchanges.append(sent)
        return msgspec.json.decode(body, type=Order)

    async def tickets(self, status: str) -> tuple[Ticket, ...]:
        """Return up to 200 tickets with the status."""
        found = await self.send("GET", "kitchen", f"/v1/tickets?status={status}&limit=200")
        return msgspec.json.decode(found, type=Tickets).items

    async def number_of(self, order_id: UUID) -> str:
        """Return the call number of the order's ticket as pages show it, once the kitchen has the ticket."""

        async def number() -> str | None:
            found = await self.send("GET", "kitchen", "/v1/tickets?limit=200")
            newest = msgspec.json.decode(found, type=Tickets).items
            pickup = next((ticket.pickup for ticket in newest if ticket.order_id == order_id), None)
            return f"{pickup.number:03}" if pickup else None

        return await until(number)

    async def cook(self, action: str, order_id: UUID) -> None:
        """`start`, `ready` or `collect` the order's ticket, as the kitchen's screen does."""

        async def ticket_id() -> UUID | None:
            found = [ticket for status in OPEN_TICKETS for ticket in await self.tickets(status)]
            return next((ticket.id for ticket in found if ticket.order_id == order_id), None)

        await self.press(action, await until(ticket_id))

    async def press(self, action: str, ticket_id: UUID) -> None:
        await self.send("POST", "kitchen", f"/v1/tickets/{ticket_id}/{action}")

    async def send(
        self, method: str, service: str, path: str, body: Any = None, *, token: str = "", key: str = ""
    ) -> bytes:
        """Ask a service past the edge, by default as kitchen or operator, and return the body; any 2xx is right."""
        staff = self.tokens.kitchen() if service == "kitchen" else self.tokens.operator()
        headers = {
            **self.tokens.header(token or staff),
            "Content-Type": "application/json",
            **({"Idempotency-Key": key} if key else {}),
        }
        data = None if body is None else msgspec.json.encode(body)
        url = f"{self.processes.url(service)}{path}"
        async with self.http.request(method, url, data=data, headers=headers) as answer:
            content = await answer.read()
            assert answer.ok, (answer.status, content)
            return content

    async def until_status(self, order_id: UUID, *statuses: str) -> None:
        await self.until_true(_HAS_STATUS, order_id, statuses)

    async def until_true(self, query: str, *arguments: Any, timeout_s: float = SETTLE_S) -> None:
        """Wait until the query, as a superuser, returns true."""
        async with connected(self.processes.servers.targets().postgres_url) as connection:
            await until(lambda: connection.fetchval(query, *arguments), timeout_s=timeout_s)

    async def set_kitchen_mode(self, mode: str) -> None:
        self.processes.environments["kitchen"]["KITCHEN_MODE"] = mode
        await self.processes.restart("kitchen")

    async def clear_kitchen(self) -> None:
        """Cook and collect everything that earlier tests left."""
        await self.until_true(_ALL_TAKEN_IN)
        if self.processes.environments["kitchen"].get("KITCHEN_MODE") != "manual":
            await self.until_true(_ALL_COOKED)
        for status, action in OPEN_TICKETS.items():
            while found := await self.tickets(status):
                for ticket in found:
                    await self.press(action, ticket.id)

    async def until_promise_holds(self) -> None:
        """Wait until the system is quiescent, and every invariant holds for all that was ordered, if only pages did."""
        await self.browser_orders.record_all()
        violations: list[str] = []

        async def holds() -> bool:
            found = check(await read_snapshot(connection), self.history)
            violations[:] = [f"{name}: {each}" for name, sentences in found.items() for each in sentences]
            return not violations

        async with connected(self.processes.servers.targets().postgres_url) as connection:
            with suppress(TimeoutError):
                await until(holds, timeout_s=SETTLE_S)
        assert not violations, "\n".join(violations[:20])


_HAS_STATUS = "SELECT status = ANY($2) FROM gateway.orders WHERE id = $1"
_ALL_TAKEN_IN = """
SELECT NOT EXISTS (SELECT FROM gateway.orders o WHERE o.status = 'PENDING' OR o.status = 'STOCK_VERIFIED'
    AND NOT EXISTS (SELECT FROM kitchen.kitchen_orders t WHERE t.order_id = o.id))"""
_ALL_COOKED = (
    "SELECT NOT EXISTS (SELECT FROM kitchen.kitchen_orders WHERE status IN ('QUEUED', 'IN_KITCHEN'))"
)


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    try:
        program = find_chromium()
    except NoChromiumError as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    async with running_chromium(program) as browser:
        yield browser


@pytest.fixture(scope="package")
def running_site(fork_server: ForkServer) -> Callable[[], AbstractAsyncContextManager[Site]]:
    """A stack of one's own with its edge and demo controls, for as long as the context lasts."""
    return partial(_running_site, fork_server)


@pytest.fixture(scope="package")
async def site(running_site: Callable[[], AbstractAsyncContextManager[Site]]) -> AsyncIterator[Site]:
    async with running_site() as site:
        yield site


@asynccontextmanager
async def _running_site(fork_server: ForkServer) -> AsyncIterator[Site]:
    async with AsyncExitStack() as running:
        home = running.enter_context(temporary_data_directory())
        plan = Plan(
            with_edge=True,
            with_demo_controls=True,
            service_environments={"kitchen": QUICK_KITCHEN},
            fork_server=fork_server,
        )
        processes = await running.enter_async_context(Stack(home, plan))
        http = await running.enter_async_context(aiohttp.ClientSession())
        yield Site(processes, http)


@pytest.fixture
def password() -> str:
    return PASSWORD


@pytest.fixture
def student_id(site: Site) -> str:
    """A student that no other test uses."""
    return site.student()


@pytest.fixture
async def clear_kitchen(site: Site) -> None:
    await site.clear_kitchen()


@pytest.fixture(scope="module")
async def manual_kitchen(site: Site) -> AsyncIterator[None]:
    """People cook while the module's tests run."""
    await site.set_kitchen_mode("manual")
    yield
    await site.set_kitchen_mode("auto")


@pytest.fixture
def page_faults(site: Site) -> PageFaults:
    """What no page may do fails the test at its end, but for what the test allows: `page_faults.allow(pattern)`."""
    return PageFaults(is_own=site.is_own)


@pytest.fixture
async def open_page(site: Site, browser: Browser, page_faults: PageFaults, request) -> AsyncIterator[Any]:
    """Opens a page in a context of its own, with the options below and those of Playwright's `new_context`.

    `before(page)` runs before the page is loaded. If the test fails, trace and pictures are kept.
    """
    contexts: list[BrowserContext] = []

    async def open_page(
        path: str = "/",
        *,
        signed_in_as: str | None = None,
        viewport: tuple[int, int] = PHONE,
        scheme: Any = "light",
        host: str = "localhost",
        before: Any = None,
        **options: Any,
    ) -> Page:
        size = {"width": viewport[0], "height": viewport[1]}
        chosen: Any = {"viewport": size, "color_scheme": scheme, **PLACE}
        context = await browser.new_context(**{**chosen, **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page_faults.watch(context)
        site.browser_orders.watch(context)
        await context.tracing.start(snapshots=True)  # moving pictures cost a fifth of the CPU
        if signed_in_as:
            await site.sign_in(context, signed_in_as, host=host)
        page = await context.new_page()
        if before:
            await before(page)
        await page.goto(f"{site.at(host)}{path}")
        return page

    yield open_page
    is_good = request.node.stash.get(OUTCOME, False) and not page_faults.sentences
    kept = None if is_good else _kept_folder(request)
    await site.browser_orders.record_all()
    for number, context in enumerate(contexts, start=1):
        await _close(context, kept, number)
    assert not page_faults.sentences, "\n".join(page_faults.sentences)


@pytest.fixture
def open_named(site: Site, open_page) -> Any:
    """Opens the page of that name as who it is for, with the options of `open_page`."""

    def open_named(name: str, **options: Any) -> Any:
        path, host, who = NAMED[name]
        return open_page(
            **{"path": path, "host": host, "signed_in_as": site.student() if who == "" else who, **options}
        )

    return open_named


def _kept_folder(request: Any) -> Path:
    """Return an empty folder that git ignores, named after the test."""
    folder: Path = (
        request.config.rootpath / ".pytest_cache" / "pages" / re.sub(r"\W+", "_", request.node.name)
    )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


async def _close(context: BrowserContext, kept: Path | None, number: int) -> None:
    if kept:
        for which, page in enumerate(context.pages, start=1):
            with suppress(Error):  # a page that a test has broken
                await page.screenshot(path=kept / f"{number}-{which}.png")
    await context.tracing.stop(**({"path": kept / f"{number}.zip"} if kept else {}))
    await context.close()
