"""Benchmark: how soon the pages show something on a slow phone, answer a tap, and name a service that was killed.

The phone has 1.6 Mbit/s, 150 ms to the server and a quarter of this machine's speed, as Chromium simulates it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from cafeteria.bench.generator import BenchError
from cafeteria.bench.interleaving import print_progress
from cafeteria.bench.machine import alone
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, Row, row_of
from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack
from cafeteria.provisioning.demo_data import STUDENTS
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:  # without the extra `pages` all other benchmarks still run
    from playwright.async_api import Browser, BrowserContext, Page

NAME = "pages"
MEASURES = "first paint of each page on a slow phone, a tap's answer, and how soon a killed service is named"

ROUNDS = 3
MOST_FIRST_MS, MOST_LARGEST_MS, MOST_TAP_MS, MOST_NAMED_S = 1_200.0, 1_800.0, 100.0, 2.0
SLOW_NETWORK = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
SLOWER_BY = 4
PHONE, DESK = {"width": 360, "height": 640}, {"width": 1280, "height": 800}
SETTLES_S = 1.0
"""After the page shows what it is for, the largest paint changes no more."""
GIVE_UP_MS = 20_000.0
BYTES_IN_KIB = 1024

SHOWN = {"student": "Beef Haleem", "kitchen": "Ready", "board": "COOKING", "ops": "gateway"}
"""A text of each page that only its first answers bring."""
STUDENT, OPS = "student", "ops"

WATCH_PAINTS = """
window.largestPaint = 0;
new PerformanceObserver((list) => { for (const each of list.getEntries()) window.largestPaint = each.startTime; })
    .observe({type: "largest-contentful-paint", buffered: true});
"""
PAINTS = """() => ({
    first_ms: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    largest_ms: window.largestPaint,
    bytes: [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .reduce((sum, each) => sum + each.transferSize, 0),
})"""
WATCH_TAP = """
addEventListener("click", (tap) => {
    const painted = () => requestAnimationFrame(() => setTimeout(() => { window.tapMs = performance.now() - tap.timeStamp; }));
    const seen = new MutationObserver(() => {
        if (document.body.textContent.includes("Sending your order")) { seen.disconnect(); painted(); }
    });
    seen.observe(document.body, {subtree: true, childList: true, characterData: true});
}, true);
"""
"""From the finger to the frame that shows the answer."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One first visit. Times are since the navigation began; `bytes` came over the wire, API answers too."""

    first_ms: float
    largest_ms: float
    bytes: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One round. `named_s` is of the service that was named last."""

    loads: dict[str, Load]
    tap_ms: float
    named_s: float


class Visitors:
    """Opens pages of a running stack in contexts without a cache, signed in where needed."""

    def __init__(self, stack: Stack, browser: "Browser") -> None:
        self.stack = stack
        self._browser = browser
        self._port = urlsplit(stack.url("edge")).port
        tokens = Tokens(stack.servers.credentials.signing_key_file)
        self._tokens = {
            STUDENT: tokens.student(STUDENTS[0]),
            "kitchen": tokens.kitchen(),
            OPS: tokens.operator(),
        }

    @asynccontextmanager
    async def page(self, name: str, *, script: str, is_slow: bool) -> AsyncIterator["Page"]:
        """The page once it shows what it is for."""
        viewport: Any = PHONE if is_slow else DESK
        async with await self._browser.new_context(viewport=viewport) as context:
            context.set_default_timeout(GIVE_UP_MS)
            await context.add_init_script(script)
            page = await self._signed_in(context, name)
            if is_slow:
                devtools = await context.new_cdp_session(page)
                await devtools.send("Network.enable")
                await devtools.send("Network.emulateNetworkConditions", SLOW_NETWORK)
                await devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER_BY})
            path = "" if name == STUDENT else name
            await page.goto(f"http://localhost:{self._port}/{path}")
            await page.get_by_text(SHOWN[name]).filter(visible=True).first.wait_for()
            yield page

    async def _signed_in(self, context: "BrowserContext", name: str) -> "Page":
        url = f"http://localhost:{self._port}"
        if name in self._tokens:
            await context.add_cookies(
                [{"name": "cafeteria_access", "value": self._tokens[name], "url": url, "httpOnly": True}]
            )
        return await context.new_page()


async def run(options: Options) -> Report:
    rounds = options.rounds or ROUNDS
    found: list[Found] = []
    async with _visitors(options) as visitors:
        for number in range(1, rounds + 1):
            async with alone(options.lock):
                found.append(await _round(visitors))
            print_progress(
                f"round {number}: {found[-1].tap_ms:.0f} ms to a tap's answer, {found[-1].named_s:.1f} s"
            )
    return _report(found, rounds=rounds)


@asynccontextmanager
async def _visitors(options: Options) -> AsyncIterator[Visitors]:
    """Raises BenchError that says what is missing to drive a browser."""
    try:
        from cafeteria.testkit.chromium import NoChromiumError, find_chromium, running_chromium  # noqa: PLC0415 - needs the extra `pages`
    except ImportError as error:
        raise BenchError(
            f"`just bench pages` drives a browser by Playwright, and {error.name} is not installed."
        ) from error
    try:
        program = find_chromium()
    except NoChromiumError as error:
        raise BenchError(str(error)) from error
    async with AsyncExitStack() as running:
        home = running.enter_context(options.data_directory())
        stack = await running.enter_async_context(Stack(home, Plan(with_edge=True), keep=False))
        yield Visitors(stack, await running.enter_async_context(running_chromium(program)))


async def _round(visitors: Visitors) -> Found:
    loads = {name: await _first_visit(visitors, name) for name in SHOWN}
    tap_ms = await _tap(visitors)
    return Found(loads=loads, tap_ms=tap_ms, named_s=await _slowest_named(visitors))


async def _first_visit(visitors: Visitors, name: str) -> Load:
    async with visitors.page(name, script=WATCH_PAINTS, is_slow=True) as page:
        await asyncio.sleep(SETTLES_S)
        return msgspec.convert(await page.evaluate(PAINTS), Load)


async def _tap(visitors: Visitors) -> float:
    """Order one dish; return the ms from the tap to the frame that shows that it is being sent."""
    async with visitors.page(STUDENT, script=WATCH_TAP, is_slow=True) as page:
        await page.get_by_role("button", name="Add").first.click()
        await page.get_by_role("button", name="Order now").click()
        shown = await page.wait_for_function("() => window.tapMs")
        return float(await shown.json_value())


async def _slowest_named(visitors: Visitors) -> float:
    """Kill each service in turn; return the longest time in seconds until the operator's page calls one down."""
    async with visitors.page(OPS, script="", is_slow=False) as page:
        slowest = 0.0
        for service in SERVICES:
            await page.locator(f"#service-{service}[data-kind=ready]").wait_for()
            killed_at = monotonic()
            visitors.stack.kill(service)
            await page.locator(f"#service-{service}[data-kind=down]").wait_for()
            slowest = max(slowest, monotonic() - killed_at)
            await visitors.stack.start(service)
        return slowest


def _report(found: list[Found], *, rounds: int) -> Report:
    first = _row(found, "first paint", "ms", "first_ms")
    largest = _row(found, "largest paint", "ms", "largest_ms")
    size = row_of(
        "over the wire",
        "KiB",
        {name: [each.loads[name].bytes / BYTES_IN_KIB for each in found] for name in SHOWN},
    )
    tap = row_of("tap to “Sending…”", "ms", {STUDENT: [each.tap_ms for each in found]})
    named = row_of("killed to “DOWN”", "s", {OPS: [each.named_s for each in found]})
    return Report(
        name=NAME,
        measures=MEASURES,
        settings={"rounds": str(rounds), "phone": f"1.6 Mbit/s, 150 ms, CPU ÷ {SLOWER_BY}"},
        rows=(first, largest, size, tap, named),
        ratios=(
            *(_at_most(first, name, MOST_FIRST_MS) for name in SHOWN),
            *(_at_most(largest, name, MOST_LARGEST_MS) for name in SHOWN),
            Ratio.at_most(tap, of=STUDENT, most=MOST_TAP_MS),
            Ratio.at_most(named, of=OPS, most=MOST_NAMED_S),
        ),
    )


def _row(found: list[Found], what: str, unit: str, figure: str) -> Row:
    return row_of(what, unit, {name: [getattr(each.loads[name], figure) for each in found] for name in SHOWN})


def _at_most(row: Row, name: str, most: float) -> Ratio:
    return Ratio(what=f"{row.what}, {name}", values=row.by[name], target=most, at_least=False, unit=row.unit)
