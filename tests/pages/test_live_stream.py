"""The live stream: over a restart of the service, and over tabs that close or freeze."""

from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Request, expect

from cafeteria.testkit.plugin import until

pytestmark = pytest.mark.pages

SEEN_MS = 30_000
STREAM = "/v1/events?with=canteen"
SOON_MS = 500


class Streams:
    """How many streams a context's pages have opened."""

    def __init__(self, context: BrowserContext) -> None:
        self.opened: list[str] = []
        context.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.url.endswith(STREAM):
            self.opened.append(request.url)

    def count(self) -> int:
        return len(self.opened)


async def another_tab(page: Page, url: str) -> Page:
    tab = await page.context.new_page()
    await tab.goto(url)
    await expect_live(tab)
    return tab


async def expect_live(page: Page) -> None:
    await expect(page.locator(".link-state")).to_contain_text("Live", timeout=SEEN_MS)


async def expect_next_order(site: Any, student_id: str, *tabs: Page) -> None:
    """An order that is placed now, elsewhere, appears in each of the tabs."""
    order = await site.order(student_id, (await site.dish(5)).id)
    for tab in tabs:
        await expect(tab.locator(f'a[href="#order/{order.id}"]')).to_be_visible(timeout=SEEN_MS)


async def test_the_stream_resumes_after_a_restart_without_a_gap(site, open_page, student_id) -> None:
    page = await open_page("/", signed_in_as=student_id)
    await expect_live(page)
    await site.processes.stop("notification")
    await expect(page.locator(".link-state")).to_contain_text("Reconnecting", timeout=SEEN_MS)
    order = await site.order(student_id, (await site.dish(5)).id)
    await site.until_status(order.id, "READY")
    await site.processes.start("notification")

    await expect_live(page)
    (number,) = [each.pickup.number for each in await site.tickets("READY") if each.order_id == order.id]
    await expect(page).to_have_title(f"Ready {number:03} · Canteen", timeout=SEEN_MS)


async def test_a_pause_of_the_kitchen_is_told_and_its_end_too(site, open_page, student_id) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    await expect_live(page)
    await page.get_by_role("button", name=f"Add {dish.name}").click()
    await site.send("PUT", "kitchen", "/v1/intake", {"is_open": False, "minutes": 5})
    await expect(page.locator(".menu .notice")).to_contain_text("takes no orders until", timeout=SEEN_MS)
    await expect(page.locator("#order")).to_have_attribute("aria-disabled", "true")
    await site.send("PUT", "kitchen", "/v1/intake", {"is_open": True})
    await expect(page.locator("#order")).to_have_attribute("aria-disabled", "false", timeout=SEEN_MS)


async def test_another_tab_leads_when_the_leader_closes(site, open_page, student_id) -> None:
    leader = await open_page("/", signed_in_as=student_id)
    streams = Streams(leader.context)
    await expect_live(leader)
    one, other = await another_tab(leader, site.url), await another_tab(leader, site.url)
    opened = streams.count()
    await leader.close()

    await until(lambda: streams.count() == opened + 1)
    await expect_next_order(site, student_id, one, other)
    assert streams.count() == opened + 1


async def test_another_tab_leads_when_the_leader_freezes(site, open_page, student_id) -> None:
    leader = await open_page("/", signed_in_as=student_id)
    streams = Streams(leader.context)
    await expect_live(leader)
    tab = await another_tab(leader, site.url)
    opened = streams.count()
    debugger = await leader.context.new_cdp_session(leader)
    await debugger.send("Debugger.enable")
    await debugger.send("Debugger.pause")  # no timer and no message of the page runs

    await until(lambda: streams.count() == opened + 1, timeout_s=30)
    await expect_next_order(site, student_id, tab)
    await debugger.send("Debugger.resume")
    await debugger.send("Debugger.disable")
    await expect_next_order(site, student_id, tab, leader)
    assert streams.count() == opened + 1


@pytest.mark.usefixtures("manual_kitchen")
async def test_what_sells_out_is_seen_elsewhere_within_half_a_second_and_so_is_a_cancel(
    site, open_page, student_id
) -> None:
    dish = await site.dish(1)
    page = await open_page("/", signed_in_as=site.student())
    await expect_live(page)
    row = page.locator(".dish").filter(has_text=dish.name)
    await expect(row).to_contain_text("Only 1 left", timeout=SEEN_MS)

    order = await site.order(student_id, dish.id)
    await expect(row).to_contain_text("Sold out", timeout=SOON_MS)

    token = site.tokens.student(student_id)
    await site.send("POST", "gateway", f"/v1/orders/{order.id}/cancel", token=token)
    await expect(row).to_contain_text("Only 1 left", timeout=SOON_MS)


@pytest.mark.usefixtures("manual_kitchen")
async def test_a_student_is_told_that_the_kitchen_refused(site, open_page, student_id) -> None:
    page = await open_page("/", signed_in_as=student_id)
    await expect_live(page)
    order = await site.order(student_id, (await site.dish(5)).id)

    async def ticket_id() -> Any:
        return next((each.id for each in await site.tickets("QUEUED") if each.order_id == order.id), None)

    refusal = {"reason": "The fryer is broken."}
    await site.send("POST", "kitchen", f"/v1/tickets/{await until(ticket_id)}/refuse", refusal)
    await page.goto(f"{site.url}/#order/{order.id}")
    await expect(page.locator("#main")).to_contain_text(
        "The kitchen could not make your order", timeout=SEEN_MS
    )
