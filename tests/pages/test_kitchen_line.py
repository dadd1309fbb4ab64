"""People cook and hand out with the kitchen's page: by touch, by keys, on two screens, and with a way back."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Locator, Page, Route, expect

pytestmark = pytest.mark.usefixtures("manual_kitchen", "clear_kitchen")

WIDE = (1280, 800)
HOST = "kitchen.localhost"


@dataclass(frozen=True)
class Meal:
    """An order and the call number of its ticket, by which the page names it."""

    id: UUID
    number: str


@pytest.fixture
def open_kitchen(open_page) -> Any:
    """Open a part of the kitchen's page on a large screen as a cook; with `undo_s` a press is held that long."""

    async def open_kitchen(part: str = "line", *, undo_s: int = 4) -> Page:
        page = await open_page(f"/kitchen#{part}", signed_in_as="kitchen-1", host=HOST, viewport=WIDE)
        await expect(page.get_by_text("LIVE", exact=True)).to_be_visible()
        if undo_s != 4:
            await set_undo(page, undo_s, part)
        return page

    return open_kitchen


async def set_undo(page: Page, seconds: int, part: str) -> None:
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_label("Seconds to undo a press").fill(str(seconds))
    await page.get_by_label("Seconds to undo a press").blur()
    await page.get_by_role("link", name=part.capitalize(), exact=True).click()


async def ordered(site: Any, student_id: str, count: int = 1) -> list[Meal]:
    """So many orders of one dish, one after another, at the kitchen."""
    dish = await site.dish(count)
    orders = [await site.order(student_id, dish.id) for _ in range(count)]
    return [Meal(order.id, await site.number_of(order.id)) for order in orders]


def ticket(page: Page, meal: Meal) -> Locator:
    """The meal's ticket by its heading: a number may occur in a student's id too."""
    heading = page.get_by_role("heading", name=re.compile(rf"^Order {meal.number}\b"))
    return (
        page.get_by_role("group", name=re.compile("Tickets|Meals")).get_by_role("article").filter(has=heading)
    )


async def test_an_order_goes_from_start_to_collected_by_touch(site, open_kitchen, student_id: str) -> None:
    [order] = await ordered(site, student_id)
    page = await open_kitchen(undo_s=0)
    await ticket(page, order).get_by_role("button", name="START").click()
    await expect(ticket(page, order)).to_contain_text("Cooking for")
    await site.until_status(order.id, "IN_KITCHEN")
    await ticket(page, order).get_by_role("button", name="READY").click()
    await expect(ticket(page, order)).to_have_count(0)
    await site.until_status(order.id, "READY")
    await page.get_by_role("link", name="Counter").click()
    await ticket(page, order).get_by_role("button", name="COLLECTED").click()
    await expect(ticket(page, order)).to_have_count(0)
    await site.until_status(order.id, "COLLECTED")


async def test_the_oldest_ticket_comes_first_and_the_totals_fit(site, open_kitchen, student_id: str) -> None:
    orders = await ordered(site, student_id, 3)
    page = await open_kitchen()
    names = page.get_by_role("group", name="Tickets").get_by_role("heading")
    await expect(names).to_have_text([re.compile(order.number) for order in orders])
    await expect(page.get_by_role("region", name="To cook now").get_by_role("listitem")).to_contain_text("3")
    await expect(page.get_by_text("Waiting 3", exact=True)).to_be_visible()


async def test_a_press_is_taken_back_before_it_is_sent(site, open_kitchen, student_id: str) -> None:
    [order] = await ordered(site, student_id)
    page = await open_kitchen(undo_s=10)
    sent = presses_of(page)
    await ticket(page, order).get_by_role("button", name="START").click()
    await expect(
        ticket(page, order).get_by_role("button", name=re.compile(r"^Starts in \d+ s"))
    ).to_be_visible()
    await page.get_by_role("button", name="UNDO").click()
    await expect(ticket(page, order).get_by_role("button", name="START")).to_be_visible()
    await until_newer_picture(page)
    await expect(ticket(page, order)).to_contain_text("Waits for a cook")
    assert sent == []


async def test_a_second_tap_on_a_pressed_button_changes_nothing(site, open_kitchen, student_id: str) -> None:
    [order] = await ordered(site, student_id)
    page = await open_kitchen(undo_s=1)
    sent = presses_of(page)
    await ticket(page, order).get_by_role("button", name="START").dblclick()
    await expect(ticket(page, order)).to_contain_text("Cooking for")
    assert len(sent) == 1


async def test_a_reload_does_not_send_a_press_and_says_so(site, open_kitchen, student_id: str) -> None:
    [order] = await ordered(site, student_id)
    page = await open_kitchen(undo_s=10)
    sent = presses_of(page)
    await ticket(page, order).get_by_role("button", name="START").click()
    await expect(page.get_by_role("button", name="UNDO")).to_be_visible()
    await until_kept(page)
    await page.reload()
    note = f"Order {order.number}: your press was not sent, because this page was loaded again."
    await expect(page.get_by_role("region", name="Presses under way")).to_contain_text(note)
    await expect(ticket(page, order).get_by_role("button", name="START")).to_be_visible()
    await page.get_by_role("button", name="OK", exact=True).click()
    await page.reload()
    await expect(ticket(page, order).get_by_role("button", name="START")).to_be_visible()
    await expect(page.get_by_role("region", name="Presses under way")).to_have_count(0)
    assert sent == []


async def test_a_press_made_offline_is_sent_when_the_network_is_back(
    site, open_kitchen, student_id: str
) -> None:
    [order] = await ordered(site, student_id)
    page = await open_kitchen(undo_s=0)
    await expect(ticket(page, order)).to_be_visible()
    await page.context.set_offline(True)
    await ticket(page, order).get_by_role("button", name="START").click()
    await expect(ticket(page, order)).to_contain_text("Will be sent when the network is back")
    await page.context.set_offline(False)
    await expect(ticket(page, order)).to_contain_text("Cooking for")
    await site.until_status(order.id, "IN_KITCHEN")


async def test_everything_is_done_by_keys_alone(site, open_kitchen, student_id: str) -> None:
    first, second = await ordered(site, student_id, 2)
    page = await open_kitchen(undo_s=0)
    await ticket(page, first).focus()
    await page.keyboard.press("2")
    await expect(ticket(page, second)).to_be_focused()
    await page.keyboard.press("s")
    await site.until_status(second.id, "IN_KITCHEN")
    await page.keyboard.press("ArrowLeft")
    await expect(ticket(page, first)).to_be_focused()
    await page.keyboard.press("Enter")
    await site.until_status(first.id, "IN_KITCHEN")
    await expect(ticket(page, first)).to_contain_text("READY")
    await page.keyboard.press("r")
    await expect(ticket(page, first)).to_have_count(0)
    await expect(ticket(page, second)).to_be_focused()
    await page.keyboard.press("/")
    await expect(page.get_by_label("Code or number")).to_be_focused()
    await page.keyboard.type(first.number)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="COLLECTED").first).to_be_focused()
    await page.keyboard.press("Enter")
    await site.until_status(first.id, "COLLECTED")


async def test_u_takes_the_last_press_back(site, open_kitchen, student_id: str) -> None:
    first, second = await ordered(site, student_id, 2)
    page = await open_kitchen(undo_s=10)
    for order in (first, second):
        await ticket(page, order).focus()
        await page.keyboard.press("s")
    await page.keyboard.press("u")
    await expect(ticket(page, second).get_by_role("button", name="START")).to_be_visible()
    await expect(ticket(page, first).get_by_role("button", name=re.compile("^Starts in"))).to_be_visible()


async def test_two_screens_show_each_others_presses(site, open_kitchen, student_id: str) -> None:
    [order] = await ordered(site, student_id)
    one, other = await asyncio.gather(open_kitchen(undo_s=0), open_kitchen(undo_s=0))
    await expect(ticket(other, order)).to_contain_text("Waits for a cook")
    await ticket(one, order).get_by_role("button", name="START").click()
    await expect(ticket(other, order)).to_contain_text("Cooking for")
    await asyncio.gather(
        *(ticket(page, order).get_by_role("button", name="READY").click() for page in (one, other))
    )
    await asyncio.gather(*(expect(ticket(page, order)).to_have_count(0) for page in (one, other)))
    await site.until_status(order.id, "READY")


async def test_a_press_that_came_too_late_says_where_the_order_stands(
    site, open_kitchen, student_id: str
) -> None:
    [order] = await ordered(site, student_id)
    page = await open_kitchen(undo_s=0)
    may_leave = asyncio.Event()

    async def send_late(route: Route) -> None:
        await may_leave.wait()
        await route.continue_()

    await page.route("**/v1/tickets/*/start", send_late)
    await ticket(page, order).get_by_role("button", name="START").click()
    for action in ("start", "ready", "collect"):
        await site.cook(action, order.id)
    may_leave.set()
    note = f"Order {order.number} was collected already."
    await expect(page.get_by_role("region", name="Presses under way")).to_contain_text(note)


async def test_the_focus_stays_in_the_tickets_when_one_leaves(site, open_kitchen, student_id: str) -> None:
    first, second = await ordered(site, student_id, 2)
    page = await open_kitchen()
    await ticket(page, first).focus()
    for action in ("start", "ready"):
        await site.cook(action, first.id)
    await expect(ticket(page, first)).to_have_count(0)
    await expect(ticket(page, second)).to_be_focused()


def presses_of(page: Page) -> list[str]:
    """The presses that the page sends from now on."""
    sent: list[str] = []
    page.on(
        "request",
        lambda request: (
            sent.append(request.url) if request.method == "POST" and "/v1/tickets/" in request.url else None
        ),
    )
    return sent


async def until_kept(page: Page) -> None:
    """The press is in the browser's database."""
    await page.wait_for_function(
        """async () => {
            const { get } = await import("/js/store.js");
            return (await get(`kitchen/presses/${window.name}`))?.length === 1;
        }"""
    )


async def until_newer_picture(page: Page) -> None:
    """The page has read the tickets once more, from the beginning of a round."""
    async with page.expect_response(re.compile(r"/v1/tickets\?status=IN_KITCHEN")):
        pass
    async with page.expect_response(re.compile(r"/v1/load")):
        pass
