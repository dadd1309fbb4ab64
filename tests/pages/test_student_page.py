"""The student page says the truth while services are away, sessions end and dishes sell out."""

import re
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Request, expect

from cafeteria.contracts.stock import Item
from cafeteria.testkit.page_faults import PageFaults
from cafeteria.testkit.plugin import until

ORDER_NOW = re.compile("^Order now")
AT_THE_COUNTER = "Your food is at the counter."
COOKED_MS = 60_000
SEEN_MS = 30_000
UNAVAILABLE = {"type": "/problems/unavailable", "title": "away", "status": 503, "detail": ""}


async def add(page: Page, dish: Item, quantity: int = 1) -> None:
    await page.get_by_role("button", name=f"Add {dish.name}", exact=True).click()
    for _ in range(quantity - 1):
        await page.locator(f"#menu-more-{dish.id}").click()


async def press(page: Page) -> None:
    await page.get_by_role("button", name=ORDER_NOW).click()


def main(page: Page) -> Any:
    return page.locator("#main")


async def sign_in(page: Page, student_id: str, password: str) -> None:
    await page.get_by_label("Student ID").fill(student_id)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def test_a_received_order_is_followed_to_ready_when_stock_is_back(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    await add(page, dish)
    await site.processes.stop("stock")
    await press(page)
    await expect(main(page)).to_contain_text("No need to order again.", timeout=SEEN_MS)
    await site.processes.start("stock")
    await expect(main(page)).to_contain_text(AT_THE_COUNTER, timeout=COOKED_MS)


async def test_a_line_that_sold_out_is_removed_and_the_rest_ordered(site, open_page, student_id: str) -> None:
    last, rest = await site.dish(1), await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    await add(page, last)
    await add(page, rest)
    await site.order(site.student(), last.id)
    await press(page)
    notice = page.locator("#order-notice")
    await expect(notice).to_contain_text(f"Sold out before your order was confirmed: {last.name}.")
    await notice.get_by_role("button", name="Remove and order the rest").click()
    await expect(page.locator("#tracker-title")).to_be_visible()
    await expect(page.locator(".contents")).to_contain_text(rest.name)
    await expect(page.locator(".contents")).not_to_contain_text(last.name)


async def test_sold_out_appears_in_another_browser_and_goes_after_a_restock(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(2)
    page = await open_page("/", signed_in_as=student_id)
    row = page.get_by_role("listitem").filter(has_text=dish.name).first
    await expect(row).to_contain_text("Only 2 left")
    await add(page, dish, 2)
    await site.order(site.student(), dish.id, 2)
    await expect(row).to_contain_text("Sold out", timeout=SEEN_MS)
    await expect(page.locator("#polite")).to_contain_text(f"{dish.name} is sold out.")
    await expect(page.locator("#order")).to_have_attribute("aria-disabled", "true")
    await site.send("POST", "stock", f"/v1/items/{dish.id}/restock", {"quantity": 1})
    await page.locator("#basket-toggle").click()
    await page.get_by_role("button", name="Take 1").click()
    await expect(page.locator("#order")).to_have_attribute("aria-disabled", "false")


async def test_an_order_that_was_given_up_says_so_and_is_ordered_again(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    expired = {**UNAVAILABLE, "type": "/problems/expired", "status": 409}
    await page.route("**/v1/orders", lambda route: route.fulfill(status=409, json=expired), times=1)
    await add(page, dish)
    await press(page)
    await expect(page.locator("#order-notice")).to_contain_text("could not be asked for a minute")
    await press(page)
    await expect(page.locator("#tracker-title")).to_be_visible()


async def test_three_wrong_passwords_count_down(open_page, student_id: str) -> None:
    page = await open_page("/")
    await page.locator("#sign-in").click()
    for _ in range(3):
        await sign_in(page, student_id, "not this one")
        await expect(page.locator("#login-message")).to_contain_text("is not right", timeout=SEEN_MS)
    await sign_in(page, student_id, "not this one")
    await expect(page.locator("#login-message")).to_contain_text(re.compile(r"Possible again in \d+ s"))
    await expect(page.get_by_role("button", name="Sign in", exact=True)).to_have_attribute(
        "aria-disabled", "true"
    )


async def test_whose_session_ended_keeps_the_basket_and_goes_on_after_signing_in(
    site, open_page, student_id: str, password: str
) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    await add(page, dish, 2)
    await expect(page.locator("#basket-toggle")).to_contain_text("2 portions")
    await page.context.clear_cookies()
    await press(page)
    await expect(page.locator("#login-message")).to_contain_text("You have been signed out.", timeout=SEEN_MS)
    await expect(page.locator("#urgent")).to_contain_text("You have been signed out.")
    await expect(page.get_by_label("Student ID")).to_be_focused()
    await sign_in(page, student_id, password)
    await expect(page.locator("#tracker-title")).to_be_visible(timeout=SEEN_MS)
    await expect(page.locator(".contents")).to_contain_text(re.compile(f"2 . {dish.name}"))


async def test_a_basket_filled_before_signing_in_survives_a_reload(site, open_page) -> None:
    dish = await site.dish(5)
    page = await open_page("/")
    await add(page, dish, 3)
    await expect(page.locator("#basket-toggle")).to_contain_text("3 portions")
    await page.reload()
    await expect(page.locator("#basket-toggle")).to_contain_text("3 portions")


async def test_seven_tabs_hold_one_stream(site, open_page, student_id: str) -> None:
    page = await open_page("/", signed_in_as=student_id)
    streams = open_streams(page.context)
    await page.reload()
    tabs = [page, *[await page.context.new_page() for _ in range(6)]]
    for tab in tabs[1:]:
        await tab.goto(site.url)
    for tab in tabs:
        await expect(tab.locator(".link-state")).to_contain_text("Live", timeout=SEEN_MS)
    await until(lambda: len(streams) == 1)
    order = await site.order(student_id, (await site.dish(5)).id)
    code = order.id.hex[-8:-4].upper()
    for tab in tabs:
        await expect(main(tab)).to_contain_text(f"Order {code}", timeout=SEEN_MS)


def open_streams(context: BrowserContext) -> set[Request]:
    """The live streams that the context's tabs hold from now on."""
    streams: set[Request] = set()

    def opened(request: Request) -> None:
        if request.url.endswith("/v1/events"):
            streams.add(request)

    def ended(request: Request) -> None:
        streams.discard(request)

    context.on("request", opened)
    context.on("requestfinished", ended)
    context.on("requestfailed", ended)
    return streams


async def test_the_menu_that_cannot_be_loaded_says_when_it_is_tried_again(open_page) -> None:
    async def away(page: Page) -> None:
        await page.route("**/v1/menu", lambda route: route.fulfill(status=503, json=UNAVAILABLE))

    page = await open_page("/", before=away)
    await expect(main(page)).to_contain_text(
        re.compile(r"The menu cannot be loaded just now. Trying again in \d s")
    )
    await expect(page.get_by_role("button", name="Try now")).to_be_visible()
    await page.unroute("**/v1/menu")
    await expect(page.get_by_role("button", name=re.compile("^Add ")).first).to_be_visible()


async def test_a_menu_without_dishes_says_so(open_page) -> None:
    async def empty(page: Page) -> None:
        await page.route("**/v1/menu", lambda route: route.fulfill(json={"items": []}))

    page = await open_page("/", before=empty)
    await expect(main(page)).to_contain_text("Nothing is on the menu yet. This page updates by itself.")


async def test_the_back_button_leads_through_the_sections(site, open_page, student_id: str) -> None:
    order = await site.order(student_id, (await site.dish(5)).id)
    page = await open_page("/", signed_in_as=student_id)
    await page.locator(".order-card").click()
    await expect(page.locator("#tracker-title")).to_be_focused()
    await page.get_by_role("link", name="My orders").click()
    await expect(page.locator("#past-title")).to_be_focused()
    await expect(page.locator(".past-order")).to_contain_text(order.id.hex[-8:-4].upper())
    await page.go_back()
    await expect(page.locator("#tracker-title")).to_be_visible()
    await page.go_back()
    await expect(page.locator("#menu-title")).to_be_visible()


async def test_an_order_of_somebody_else_is_not_shown(
    site, open_page, student_id: str, page_faults: PageFaults
) -> None:
    page_faults.allow("not found: GET .*/v1/orders/")
    order = await site.order(site.student(), (await site.dish(5)).id)
    page = await open_page(f"/#order/{order.id}", signed_in_as=student_id)
    await expect(main(page)).to_contain_text("This order is not one of yours.")


async def test_an_order_is_shown_after_signing_in_at_its_address(
    site, open_page, student_id: str, password: str
) -> None:
    order = await site.order(student_id, (await site.dish(5)).id)
    page = await open_page(f"/#order/{order.id}")
    await main(page).get_by_role("button", name="Sign in").click()
    await sign_in(page, student_id, password)
    await expect(page.locator(".stages")).to_be_visible(timeout=SEEN_MS)


@pytest.mark.usefixtures("manual_kitchen")
class TestWhilePeopleCook:
    async def test_an_order_is_cancelled_until_the_kitchen_begins_and_not_later(
        self, site, open_page, student_id: str
    ) -> None:
        dish = await site.dish(5)
        page = await open_page("/", signed_in_as=student_id)
        await add(page, dish)
        await press(page)
        await page.get_by_role("button", name="Cancel order").click()
        await expect(main(page)).to_contain_text("Nothing will be cooked.", timeout=SEEN_MS)
        await page.get_by_role("button", name="Order again").click()
        await press(page)
        await expect(page.get_by_role("button", name="Cancel order")).to_be_visible(timeout=SEEN_MS)
        began = re.compile(r"/v1/orders/[^/]+/cancel$")
        late = {**UNAVAILABLE, "type": "/problems/too-late-to-cancel", "status": 409}
        await page.route(began, lambda route: route.fulfill(status=409, json=late))
        await page.get_by_role("button", name="Cancel order").click()
        await expect(page.locator("#polite")).to_contain_text("Too late: the kitchen has begun.")

    async def test_each_stage_is_shown_with_what_can_be_done(self, site, open_page, student_id: str) -> None:
        order = await site.order(student_id, (await site.dish(5)).id)
        page = await open_page(f"/#order/{order.id}", signed_in_as=student_id)
        await expect(main(page)).to_contain_text("It is now waiting for a cook.")
        await expect(page.get_by_role("button", name="Cancel order")).to_be_visible()
        await site.cook("start", order.id)
        await expect(main(page)).to_contain_text("A cook has begun with it.", timeout=SEEN_MS)
        await expect(page.get_by_role("button", name="Cancel order")).to_have_count(0)
        await expect(page.locator("[aria-current=step]")).to_contain_text("In Kitchen")
        await site.cook("ready", order.id)
        await expect(main(page)).to_contain_text(AT_THE_COUNTER, timeout=SEEN_MS)
        await expect(page.locator("#urgent")).to_contain_text("Your food is ready.")

    async def test_the_stream_resumes_without_a_gap_after_notification_restarts(
        self, site, open_page, student_id: str
    ) -> None:
        order = await site.order(student_id, (await site.dish(5)).id)
        page = await open_page(f"/#order/{order.id}", signed_in_as=student_id)
        await expect(page.locator(".link-state")).to_contain_text("Live")
        await site.processes.stop("notification")
        await expect(page.locator(".link-state")).to_contain_text(
            re.compile(r"Reconnecting, last update \d+ s ago")
        )
        await site.cook("start", order.id)
        await expect(main(page)).to_contain_text("A cook has begun with it.", timeout=SEEN_MS)
        await site.cook("ready", order.id)
        await site.processes.start("notification")
        await expect(page.locator(".link-state")).to_contain_text("Live", timeout=SEEN_MS)
        await expect(main(page)).to_contain_text(AT_THE_COUNTER, timeout=SEEN_MS)
        await expect(page.locator(".stage-time")).to_have_count(4)
