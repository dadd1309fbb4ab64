"""The board of the hall: which meals are ready, which are cooking, and nothing that it does not know."""

import re
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import msgspec
import pytest
from playwright.async_api import Page, Route, expect

from cafeteria.contracts.kitchen import HallBoard, ReadyNumber

TV = (1920, 1080)
STALE_AFTER_S = 10
NAMED_WITHIN_S = 3.0  # a round and its answer
TURN_WITHIN_MS = 15_000
NOT_MODIFIED = 304
LAST_UPDATE = re.compile(r"Last update \d+ s ago")
MEALS_ON = {"Page 1 of 2": 24, "Page 2 of 2": 6}

pytestmark = pytest.mark.usefixtures("clear_kitchen")


@pytest.fixture
def open_board(open_page) -> Any:
    """Opens the board as a stranger: nobody signs in on a screen in the hall."""

    async def open_board(*, before: Any = None) -> Page:
        return await open_page("/board", viewport=TV, before=before)

    return open_board


async def ready_order(site: Any, student_id: str) -> tuple[Any, str]:
    """An order that is ready, and its number as the hall reads it."""
    dish = await site.dish(1)
    order = await site.order(student_id, dish.id)
    await site.until_status(order.id, "READY")
    [pickup] = [ticket.pickup for ticket in await site.tickets("READY") if ticket.order_id == order.id]
    return order, f"{pickup.number:03}"


def meals_of(page: Page) -> Any:
    return page.get_by_role("region", name="Ready").get_by_role("listitem")


async def test_a_meal_that_becomes_ready_is_shown_as_new_and_leaves_when_it_is_collected(
    site, open_board, student_id: str
) -> None:
    page = await open_board()
    await expect(page.get_by_text("Nothing is ready yet.")).to_be_visible()
    order, number = await ready_order(site, student_id)
    meal = meals_of(page).filter(has_text=number)
    await expect(meal).to_contain_text("NEW")
    await expect(page.get_by_role("status")).to_have_text(f"Ready: {' '.join(number)}")
    await site.cook("collect", order.id)
    await expect(meal).to_have_count(0)


async def test_a_board_that_has_not_changed_is_sent_once_and_stays_trusted(
    site, open_board, student_id: str
) -> None:
    _, number = await ready_order(site, student_id)
    page = await open_board()
    for _ in range(2):
        async with page.expect_response(lambda answer: answer.url.endswith("/v1/board")) as answered:
            pass
    assert (await answered.value).status == NOT_MODIFIED
    await expect(meals_of(page).filter(has_text=number)).to_be_visible()
    await expect(page.get_by_text(LAST_UPDATE)).to_have_count(0)


async def test_a_kitchen_that_is_away_is_named_at_once_and_after_ten_seconds_nothing_is_shown(
    site, open_board, student_id: str
) -> None:
    _, number = await ready_order(site, student_id)
    page = await open_board()
    await expect(meals_of(page).filter(has_text=number)).to_be_visible()
    await site.processes.stop("kitchen")
    stopped_at = monotonic()
    try:
        await expect(page.get_by_text(LAST_UPDATE)).to_be_visible(timeout=NAMED_WITHIN_S * 1000)
        assert monotonic() - stopped_at < NAMED_WITHIN_S
        await expect(meals_of(page).filter(has_text=number)).to_be_visible()
        stale = page.locator("main").get_by_text("This screen is not up to date. Please ask at the counter.")
        await expect(stale).to_be_visible(timeout=(STALE_AFTER_S + 3) * 1000)
        await expect(meals_of(page).filter(has_text=number)).to_have_count(0)
    finally:
        await site.processes.start("kitchen")
    await expect(meals_of(page).filter(has_text=number)).to_be_visible()


async def test_more_than_24_meals_turn_in_pages_and_space_stops_them(open_board) -> None:
    page = await open_board(before=showing(ready=THIRTY))
    meals = meals_of(page)
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


async def test_a_pause_says_when_orders_are_taken_again_and_what_waits_stays_counted(open_board) -> None:
    eleven_fifty_five = datetime(2026, 3, 1, 11, 55, tzinfo=UTC)
    page = await open_board(
        before=showing(is_open=False, reopens_at=eleven_fifty_five, cooking=(7, 424), waiting=38)
    )
    await expect(page.get_by_text("The kitchen takes no new orders until 17:55.")).to_be_visible()
    cooking = page.get_by_role("region", name="COOKING").get_by_role("listitem")
    await expect(cooking).to_have_text(["007", "424", "and 38 more waiting"])


THIRTY = tuple(
    ReadyNumber(number=number, since=datetime.now(UTC) - timedelta(seconds=60)) for number in range(30)
)


def showing(**content: Any) -> Any:
    """`open_page(before=showing(…))`: the kitchen answers with a board of that content."""
    empty: Any = {"is_open": True, "reopens_at": None, "ready": (), "cooking": (), "waiting": 0}
    board = HallBoard(as_of=datetime.now(UTC), **{**empty, **content})

    async def answer(route: Route) -> None:
        await route.fulfill(body=msgspec.json.encode(board), content_type="application/json")

    async def before(page: Page) -> None:
        await page.route("**/v1/board", answer)

    return before
