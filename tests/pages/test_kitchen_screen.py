"""The kitchen's page says what it is worth: how old its picture is, who may use it, and what the kitchen does by itself."""

import re
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec
import pytest
from playwright.async_api import Locator, Page, Route, expect

from cafeteria.contracts.kitchen import Ticket, Tickets, TicketStatus
from cafeteria.contracts.values import PricedLine

WIDE = (1280, 800)
PHONE = (360, 640)
HOST = "kitchen.localhost"
CODED_A7F2 = UUID("0193a5e0-4c00-7000-8000-0000a7f20000")
NAMED_WITHIN_S = 2.0
STALE_WITHIN_MS = 5_000

pytestmark = pytest.mark.usefixtures("clear_kitchen")


@pytest.fixture
def open_kitchen(open_page) -> Any:
    async def open_kitchen(
        part: str = "line", *, who: str | None = "kitchen-1", viewport: Any = WIDE
    ) -> Page:
        return await open_page(f"/kitchen#{part}", signed_in_as=who, host=HOST, viewport=viewport)

    return open_kitchen


def ticket(page: Page, number: str) -> Locator:
    heading = page.get_by_role("heading", name=re.compile(rf"^Order {number}\b"))
    return page.get_by_role("article").filter(has=heading)


async def until_live(page: Page) -> None:
    await expect(page.get_by_text("LIVE", exact=True)).to_be_visible()


async def test_a_kitchen_that_cooks_by_itself_offers_only_collected(
    site, open_kitchen, student_id: str
) -> None:
    page = await open_kitchen()
    await expect(page.get_by_text("This kitchen cooks by itself. People hand out.")).to_be_visible()
    dish = await site.dish(1)
    order = await site.order(student_id, dish.id)
    await site.until_status(order.id, "READY")
    await expect(page.get_by_role("button", name=re.compile("^(START|READY)$"))).to_have_count(0)
    await page.get_by_role("link", name="Counter").click()
    await expect(
        ticket(page, await site.number_of(order.id)).get_by_role("button", name="COLLECTED")
    ).to_be_visible()


async def test_a_ticket_that_cooks_by_itself_shows_how_far_it_is(open_page) -> None:
    page = await open_page(
        "/kitchen#line", signed_in_as="kitchen-1", host=HOST, viewport=WIDE, before=one_cooking
    )
    progress = page.get_by_role("progressbar", name="How far cooking is")
    await expect(progress).to_be_visible()
    assert 0 < float(await progress.evaluate("(bar) => bar.value")) < 1


async def one_cooking(page: Page) -> None:
    """The kitchen's answer with one ticket that has waited for six minutes and is half cooked."""

    async def answer(route: Route) -> None:
        items = (cooking_ticket(),) if "IN_KITCHEN" in route.request.url else ()
        body = msgspec.json.encode(Tickets(items=items, next_cursor=None))
        await route.fulfill(body=body, content_type="application/json")

    await page.route("**/v1/tickets?*", answer)


def cooking_ticket() -> Ticket:
    now = datetime.now(UTC)
    return Ticket(
        id=CODED_A7F2,
        order_id=CODED_A7F2,
        student_id="210041101",
        status=TicketStatus.IN_KITCHEN,
        version=3,
        lines=(PricedLine(item_id=UUID(int=1), name="Beef Haleem", quantity=2),),
        received_at=now - timedelta(seconds=390),
        started_at=now - timedelta(seconds=60),
        due_at=now + timedelta(seconds=60),
        completed_at=None,
        collected_at=None,
    )


async def test_ages_are_text_and_sign_and_follow_the_settings_of_the_screen(open_page) -> None:
    page = await open_page(
        "/kitchen#line", signed_in_as="kitchen-1", host=HOST, viewport=WIDE, before=one_cooking
    )
    ticket = page.get_by_role("article", name=re.compile("Order A7F2 soon late, 6 minutes"))
    await expect(ticket).to_contain_text("SOON")
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_label("SOON after minutes").fill("3")
    await page.get_by_label("LATE after minutes").fill("6")
    await page.get_by_label("LATE after minutes").blur()
    await page.get_by_role("link", name="Line").click()
    await expect(page.get_by_role("article", name=re.compile("Order A7F2 late, 6 minutes"))).to_contain_text(
        "LATE"
    )
    await page.reload()
    await expect(page.get_by_role("article", name=re.compile("Order A7F2 late, 6 minutes"))).to_contain_text(
        "LATE"
    )


async def test_a_killed_kitchen_is_named_within_two_seconds_and_comes_back_by_itself(
    site, open_kitchen
) -> None:
    page = await open_kitchen()
    await until_live(page)
    await site.processes.stop("kitchen")
    stopped_at = monotonic()
    try:
        await expect(page.locator("main")).to_contain_text(
            "NOT LIVE This screen shows", timeout=NAMED_WITHIN_S * 1000
        )
        assert monotonic() - stopped_at < NAMED_WITHIN_S
        await expect(page).to_have_title(re.compile("^NOT LIVE"))
        await expect(page.get_by_role("alert")).to_have_text(
            "This screen is not live. Orders may be missing."
        )
    finally:
        await site.processes.start("kitchen")
    await until_live(page)
    await expect(page.locator("main")).not_to_contain_text("NOT LIVE")


async def test_a_kitchen_that_does_not_answer_makes_the_screen_stale(site, open_kitchen) -> None:
    """A frozen process refuses nothing: only the age of the picture tells."""
    page = await open_kitchen()
    await until_live(page)
    with site.processes.frozen("kitchen"):
        await expect(page.get_by_text(re.compile(r"Last update \d+ s ago"))).to_be_visible(
            timeout=STALE_WITHIN_MS
        )
        await expect(page.locator(".k-board.behind")).to_be_visible()
    await until_live(page)


async def test_a_student_is_told_whose_screen_it_is(open_page, student_id: str) -> None:
    page = await open_page("/kitchen", signed_in_as=student_id)
    await expect(
        page.get_by_text(f"This screen is for the kitchen. You are signed in as {student_id}.")
    ).to_be_visible()
    await page.get_by_role("button", name="Sign in as somebody else").click()
    await expect(page.get_by_role("heading", name="Sign in to the kitchen")).to_be_visible()


async def test_an_operator_looks_and_has_no_buttons(site, open_kitchen, student_id: str) -> None:
    dish = await site.dish(1)
    order = await site.order(student_id, dish.id)
    await site.until_status(order.id, "READY")
    page = await open_kitchen("counter", who="operator-1")
    await expect(ticket(page, await site.number_of(order.id))).to_be_visible()
    await expect(page.get_by_role("button", name="COLLECTED")).to_have_count(0)


async def test_a_cook_signs_in_on_the_page(open_kitchen, password: str) -> None:
    page = await open_kitchen(who=None)
    await expect(page.get_by_role("heading", name="Sign in to the kitchen")).to_be_visible()
    await page.get_by_label("Staff ID").fill("kitchen-1")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await until_live(page)
    await expect(page.get_by_text("kitchen-1").first).to_be_visible()


async def test_who_is_signed_out_signs_in_over_what_the_screen_showed(
    site, open_kitchen, student_id: str
) -> None:
    dish = await site.dish(1)
    order = await site.order(student_id, dish.id)
    await site.until_status(order.id, "READY")
    number = await site.number_of(order.id)
    page = await open_kitchen("counter")
    await expect(ticket(page, number)).to_be_visible()
    await page.context.clear_cookies()
    await expect(page.get_by_role("heading", name="Sign in to the kitchen")).to_be_visible()
    await expect(ticket(page, number)).to_be_visible()
    await expect(page.locator(".k-body")).to_have_attribute("inert", "")


async def test_a_phone_begins_at_the_counter_and_hands_out_by_the_number(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(1)
    order = await site.order(student_id, dish.id)
    await site.until_status(order.id, "READY")
    page = await open_page("/kitchen", signed_in_as="kitchen-1", host=HOST, viewport=PHONE)
    await expect(page.get_by_role("heading", name=re.compile(r"^Ready \(\d+\)$"))).to_be_visible()
    await page.get_by_label("Code or number").fill(await site.number_of(order.id))
    await page.get_by_role("button", name="Find").click()
    found = page.locator("#found").get_by_role("article")
    await expect(found).to_contain_text(f"Student {student_id}")
    await found.get_by_role("button", name="COLLECTED").click()
    await site.until_status(order.id, "COLLECTED")
    await expect(found).to_contain_text("Collected at")


async def test_a_number_that_is_not_ready_says_where_its_order_stands(
    site, open_kitchen, student_id: str
) -> None:
    dish = await site.dish(1)
    order = await site.order(student_id, dish.id)
    await site.until_status(order.id, "READY")
    await site.cook("collect", order.id)
    page = await open_kitchen("counter")
    await until_live(page)
    await page.get_by_label("Code or number").fill(await site.number_of(order.id))
    await page.keyboard.press("Enter")
    await expect(page.locator("#found")).to_contain_text("Collected at")
    await expect(page.locator("#found").get_by_role("button", name="COLLECTED")).to_have_count(0)


async def test_a_code_that_nobody_has_is_said_to_be_unknown(open_kitchen) -> None:
    page = await open_kitchen("counter")
    await until_live(page)
    for typed, answer in (
        ("12345", "A code has four characters"),
        ("GGGG", "No order of today has the code or number GGGG."),
    ):
        await page.get_by_label("Code or number").fill(typed)
        await page.keyboard.press("Enter")
        await expect(page.locator("#found")).to_contain_text(answer)
