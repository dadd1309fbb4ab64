"""The operator sees at a glance what runs, what fell and what is slow, from the services' own words."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.gateway import OrderLine, PlaceOrder
from cafeteria.contracts.subjects import SERVICES

WIDE = (1280, 800)
HOST = "ops.localhost"
SLOW_ORDERS = 40
"""Of 1.3 s each: the mean stays above 1 s beside a dozen quick answers of the last 30 s."""

QUICK_ANSWERS = 400
"""So many answers of a few milliseconds bring the mean of 30 s under the limit."""

ALERT_MS = 20_000
"""The gateway judges each second; each slow order takes 1.3 s."""

LOGIN_MS = 15_000
"""The threads that hash passwords have a low priority."""

SPOKEN = """() => { window.spoken = []; for (const id of ["polite", "urgent"]) new MutationObserver(() => {
    const text = document.getElementById(id).textContent; if (text) window.spoken.push(text); })
    .observe(document.getElementById(id), {childList: true}); }"""


@pytest.fixture
def open_ops(open_page) -> Any:
    """Open the page on a large screen as the operator."""

    def open_ops(section: str = "now", **options: Any) -> Any:
        chosen = {"signed_in_as": "operator-1", "host": HOST, "viewport": WIDE, **options}
        return open_page(f"/ops#{section}", **chosen)

    return open_ops


def row(page: Page, service: str) -> Locator:
    return page.locator(f"#service-{service}")


async def expect_state(page: Page, service: str, state: str, *, timeout_ms: int = 10_000) -> None:
    cell = row(page, service).get_by_role("cell").first
    await expect(cell).to_have_text(state, timeout=timeout_ms)


async def answer_with(page: Page, pattern: str, **answer: Any) -> None:
    async def fulfil(route: Route) -> None:
        await route.fulfill(**answer)

    await page.route(pattern, fulfil)


async def test_all_services_are_ready_with_what_they_depend_on(open_ops) -> None:
    page = await open_ops()
    await expect(page.locator("main").get_by_text("All five services are ready.")).to_be_visible()
    for service in SERVICES:
        await expect_state(page, service, "ready")
        await expect(row(page, service)).to_contain_text("postgres")
    await expect(
        page.get_by_role("img", name=re.compile("^Orders a second, last minute: now "))
    ).to_be_visible()
    await expect(page).to_have_title("Ops · Canteen")


async def test_the_last_minute_is_a_table_too(open_ops) -> None:
    page = await open_ops()
    await page.get_by_role("button", name="Last minute as a table").click()
    table = page.get_by_role("table", name="The gateway's last minute")
    await expect(table.get_by_role("row").nth(1)).to_be_visible()
    await page.get_by_role("button", name="Last minute as a table").click()
    await expect(table).to_have_count(0)


async def test_a_service_that_falls_is_named_within_2_s_and_again_when_it_is_back(site, open_ops) -> None:
    page = await open_ops()
    await expect_state(page, "stock", "ready")
    await page.evaluate(SPOKEN)
    await site.processes.stop("stock")
    try:
        await expect_state(page, "stock", "DOWN", timeout_ms=2000)
        await expect(page).to_have_title("✕ stock · Ops")
        await expect(page.locator(".headline")).to_contain_text("stock is DOWN.")
        await expect_state(page, "gateway", "ready")
    finally:
        await site.processes.start("stock")
    await expect_state(page, "stock", "ready")
    await expect(page.locator("main").get_by_text("All five services are ready.")).to_be_visible()
    spoken = await page.evaluate("() => window.spoken")
    assert [text for text in spoken if text.startswith("stock is")] == [
        "stock is down.",
        "stock is ready again.",
    ]


async def test_a_frozen_service_is_silent_and_not_down(site, open_ops) -> None:
    page = await open_ops()
    await expect_state(page, "kitchen", "ready")
    with site.processes.frozen("kitchen"):
        await expect_state(page, "kitchen", "SILENT")
        await expect(row(page, "kitchen")).to_contain_text("No answer within 2 s.")
    await expect_state(page, "kitchen", "ready")


async def test_what_all_services_miss_is_named_once(site, open_ops) -> None:
    page = await open_ops()
    await expect_state(page, "gateway", "ready")
    with site.processes.frozen("nats"):
        await expect(page.locator(".headline")).to_contain_text(re.compile("nats is away for .* services"))
        await expect_state(page, "notification", "not ready")
        await expect(row(page, "notification")).to_contain_text("nats: ")
    await expect(page.locator("main").get_by_text("All five services are ready.")).to_be_visible(
        timeout=30_000
    )


async def order_slowly(site: Any, student_id: str, dish_id: Any) -> None:
    """An order that stock does not decide is answered after 1.3 s; it is received all the same."""
    wanted = PlaceOrder(lines=(OrderLine(item_id=dish_id, quantity=1),))
    token = site.tokens.student(student_id)
    await site.send("POST", "gateway", "/v1/orders", wanted, token=token, key=new_id().hex)


async def test_the_alert_appears_while_answers_are_slow_and_ends(site, open_ops) -> None:
    dish = await site.dish(SLOW_ORDERS)
    page = await open_ops()
    await expect_state(page, "gateway", "ready")
    await page.evaluate(SPOKEN)
    alert = page.locator(".headline").get_by_text(
        re.compile(r"ALERT: gateway answers slowly, [\d,]+ ms on average")
    )
    with site.processes.frozen("stock"):
        await asyncio.gather(*(order_slowly(site, site.student(), dish.id) for _ in range(SLOW_ORDERS)))
        await expect(alert).to_be_visible(timeout=ALERT_MS)
    await expect(page).to_have_title("▲ slow · Ops")
    for _ in range(QUICK_ANSWERS):
        await site.send("GET", "gateway", "/v1/menu")
    easing = page.locator(".headline").get_by_text(re.compile("ALERT: gateway answered slowly, since"))
    await expect(easing).to_be_visible(timeout=ALERT_MS)
    await expect(page.locator(".headline").get_by_text("ALERT")).to_have_count(0, timeout=ALERT_MS)
    spoken = await page.evaluate("() => window.spoken")
    assert len([text for text in spoken if text.startswith("ALERT: gateway")]) == 1, spoken
    assert "gateway answers at its usual speed again." in spoken


async def test_without_any_answer_the_page_asks_whether_the_system_runs(open_ops) -> None:
    page = await open_ops()
    await expect_state(page, "gateway", "ready")
    await page.route("**/v1/**", lambda route: route.abort())
    await expect(
        page.locator("main").get_by_text("No service answers. Is the system running?")
    ).to_be_visible()
    await expect(page.get_by_text(re.compile("Last update [0-9]+ s ago"))).to_be_visible()


async def test_paused_updates_stand_still_until_they_go_on(open_ops) -> None:
    page = await open_ops()
    await expect_state(page, "gateway", "ready")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_text(re.compile("Updates paused at"))).to_be_visible()
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/ops/" in request.url else None)
    await answer_with(page, "**/v1/ops/**", status=500, body="{}", content_type="application/json")
    clock = page.get_by_text(re.compile("Updates paused at"))
    before = await clock.inner_text()
    await page.get_by_role("link", name="Stock").click()
    await expect(page.get_by_role("heading", name="Stock")).to_be_visible()
    await page.get_by_role("link", name="Now").click()
    assert (asked, await clock.inner_text()) == ([], before)
    await page.get_by_role("button", name="Go on").click()
    await expect_state(page, "gateway", "not ready")


async def test_a_student_is_told_that_the_page_is_for_the_operator(site, open_ops) -> None:
    student = site.student()
    page = await open_ops(signed_in_as=student, host="localhost")
    await expect(page.get_by_role("heading", name="This page is for the operator")).to_be_visible()
    await expect(page.locator("main").get_by_text(f"You are signed in as {student}.")).to_be_visible()
    await page.get_by_role("button", name="Sign in as somebody else").click()
    await expect(page.get_by_label("Your ID")).to_be_visible()


async def test_an_operator_signs_in_and_sees_the_services(open_ops, password: str) -> None:
    page = await open_ops(signed_in_as=None)
    await page.get_by_label("Your ID").fill("operator-1")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("main").get_by_text("All five services are ready.")).to_be_visible(
        timeout=LOGIN_MS
    )


async def test_signed_out_while_identity_is_down_is_said_and_ends_by_itself(site, open_ops) -> None:
    await site.processes.stop("identity")
    try:
        page = await open_ops(signed_in_as=None)
        await expect(
            page.locator("main").get_by_text(re.compile("^Signed out, and identity is down"))
        ).to_be_visible()
    finally:
        await site.processes.start("identity")
    await expect(
        page.locator("main").get_by_text(re.compile("^Signed out, and identity is down"))
    ).to_have_count(0)
    await expect(page.get_by_label("Your ID")).to_be_visible()


async def test_a_signed_in_operator_still_sees_the_others_when_identity_falls(site, open_ops) -> None:
    page = await open_ops()
    await expect_state(page, "identity", "ready")
    await site.processes.stop("identity")
    try:
        await expect_state(page, "identity", "DOWN")
        await page.reload()
        await expect_state(page, "gateway", "ready")
        await expect_state(page, "identity", "DOWN")
    finally:
        await site.processes.start("identity")
    await expect_state(page, "identity", "ready")
