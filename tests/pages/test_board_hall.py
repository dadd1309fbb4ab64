"""The board of the hall: which meals are ready, which are cooking, and nothing that it does not know."""

import re
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec
import pytest
from playwright.async_api import Page, Route, expect

from cafeteria.contracts.kitchen import Ticket, Tickets, TicketStatus

HOST = "kitchen.localhost"
TV = (1920, 1080)
STALE_AFTER_S = 10
NAMED_WITHIN_S = 2.0
TURN_WITHIN_MS = 15_000
MEALS_ON = {"Page 1 of 2": 24, "Page 2 of 2": 6}

pytestmark = pytest.mark.usefixtures("clear_kitchen")


def code_of(order_id: UUID) -> str:
    return order_id.hex[-8:-4].upper()


@pytest.fixture
def open_board(open_page) -> Any:
    async def open_board(*, who: str | None = "kitchen-1", before: Any = None) -> Page:
        return await open_page("/board", signed_in_as=who, host=HOST, viewport=TV, before=before)

    return open_board


async def ready_order(site: Any, student_id: str) -> str:
    """The code of an order that is ready."""
    dish = await site.dish(1)
    order = await site.order(student_id, dish.id)
    await site.until_status(order.id, "READY")
    return code_of(order.id)


async def test_a_meal_that_becomes_ready_is_shown_as_new_and_leaves_when_it_is_collected(
    site, open_board, student_id: str
) -> None:
    page = await open_board()
    await expect(page.get_by_text("Nothing is ready yet.")).to_be_visible()
    dish = await site.dish(1)
    order = await site.order(student_id, dish.id)
    meal = page.get_by_role("region", name="Ready").get_by_role("listitem").filter(has_text=code_of(order.id))
    await expect(meal).to_contain_text("NEW")
    await expect(page.get_by_role("status")).to_have_text(f"Ready: {' '.join(code_of(order.id))}")
    await site.cook("collect", order.id)
    await expect(meal).to_have_count(0)


async def test_the_board_names_no_student_and_no_dish(site, open_board, student_id: str) -> None:
    code = await ready_order(site, student_id)
    page = await open_board()
    await expect(page.get_by_text(code)).to_be_visible()
    shown = await page.locator("body").inner_text()
    assert student_id not in shown
    assert "Dish" not in shown


async def test_a_kitchen_that_is_away_is_named_at_once_and_after_ten_seconds_nothing_is_shown(
    site, open_board, student_id: str
) -> None:
    code = await ready_order(site, student_id)
    page = await open_board()
    await expect(page.get_by_text(code)).to_be_visible()
    await site.processes.stop("kitchen")
    stopped_at = monotonic()
    try:
        await expect(page.get_by_text(re.compile(r"Last update \d+ s ago"))).to_be_visible(
            timeout=NAMED_WITHIN_S * 1000
        )
        assert monotonic() - stopped_at < NAMED_WITHIN_S
        await expect(page.get_by_text(code)).to_be_visible()
        stale = page.locator("main").get_by_text("This screen is not up to date. Please ask at the counter.")
        await expect(stale).to_be_visible(timeout=(STALE_AFTER_S + 3) * 1000)
        await expect(page.get_by_text(code)).to_have_count(0)
    finally:
        await site.processes.start("kitchen")
    await expect(page.get_by_text(code)).to_be_visible()


async def test_more_than_24_meals_turn_in_pages_and_space_stops_them(open_board) -> None:
    page = await open_board(before=many_ready)
    meals = page.get_by_role("region", name="Ready").get_by_role("listitem")
    which = page.get_by_text(re.compile(r"^Page [12] of 2$"))
    await expect(which).to_be_visible()
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name="Turn pages again")).to_be_visible()
    stopped_at = await which.inner_text()
    await expect(meals).to_have_count(MEALS_ON[stopped_at])
    await page.keyboard.press("Space")
    [other] = set(MEALS_ON) - {stopped_at}
    await expect(page.get_by_text(other)).to_be_visible(timeout=TURN_WITHIN_MS)
    await expect(meals).to_have_count(MEALS_ON[other])


async def many_ready(page: Page) -> None:
    """The kitchen's answer with thirty meals that are ready since a minute."""

    async def answer(route: Route) -> None:
        items = tuple(ready_ticket(number) for number in range(30)) if "READY" in route.request.url else ()
        body = msgspec.json.encode(Tickets(items=items, next_cursor=None))
        await route.fulfill(body=body, content_type="application/json")

    await page.route("**/v1/tickets?*", answer)


def ready_ticket(number: int) -> Ticket:
    since = datetime.now(UTC) - timedelta(seconds=60)
    order_id = UUID(f"0193a5e0-4c00-7000-8000-0000{number:04x}0000")
    return Ticket(
        id=order_id,
        order_id=order_id,
        student_id="210041101",
        status=TicketStatus.READY,
        version=4,
        lines=(),
        received_at=since,
        started_at=since,
        due_at=since,
        completed_at=since,
        collected_at=None,
    )


async def test_the_board_is_signed_in_on_its_own_screen(open_board, password: str) -> None:
    page = await open_board(who=None)
    await expect(page.get_by_role("heading", name="Sign in to show the board")).to_be_visible()
    await page.get_by_label("Staff ID").fill("kitchen-1")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="COOKING")).to_be_visible()


async def test_a_student_is_told_that_the_board_needs_the_kitchen(open_page, student_id: str) -> None:
    page = await open_page("/board", signed_in_as=student_id)
    refusal = f"The board needs an account of the kitchen. You are signed in as {student_id}."
    await expect(page.get_by_text(refusal)).to_be_visible()
