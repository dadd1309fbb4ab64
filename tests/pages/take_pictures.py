"""Takes the pictures of docs/pages: `./just test -m pages tests/pages/take_pictures.py`, and then a person looks at them.

By its name it is no test; it stages on the real system what each picture shows.
"""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from playwright.async_api import Page, Route, expect

from cafeteria.contracts.gateway import Menu

pytestmark = pytest.mark.usefixtures("manual_kitchen", "clear_kitchen")

FOLDER = Path(__file__).parents[2] / "docs" / "pages"
MOST_BYTES = 120 * 1024
PHONE, DESK, TABLET, HALL = (360, 640), (1280, 900), (1280, 800), (1920, 1080)
UNMOVING = {"reduced_motion": "reduce"}
BUSY = '{"type": "/problems/overloaded", "title": "Too busy", "status": 503, "detail": "", "instance": "/v1/orders"}'
SLOW_MS = 1_240.0


async def take(page: Page, name: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.png"
    await page.screenshot(path=path, animations="disabled", caret="hide")
    assert path.stat().st_size <= MOST_BYTES


@pytest.fixture
def item_id(site) -> Any:
    """Return the id of a dish of the demo's menu by its name."""

    async def item_id(name: str) -> UUID:
        menu = msgspec.json.decode(await site.send("GET", "gateway", "/v1/menu"), type=Menu)
        return next(item.item_id for item in menu.items if item.name == name)

    return item_id


@pytest.fixture
async def few_and_none(site) -> None:
    await site.dish(7, name="Chotpoti", price="60")
    await site.dish(0, name="Shahi Tukra", price="70")


async def fill_basket(page: Page) -> None:
    await page.get_by_role("button", name="Add Beef Haleem").click()
    await page.get_by_role("button", name="One more Beef Haleem").first.click()
    await page.get_by_role("button", name="Add Firni").click()


async def place(page: Page) -> UUID:
    """Order what is in the basket; return the order's id, which stands in the answer."""
    async with page.expect_response("**/v1/orders") as answered:
        await page.get_by_role("button", name=re.compile("^Order now")).click()
    return UUID((await (await answered.value).json())["id"])


async def line_of_tickets(site, item_id) -> list[UUID]:
    """Six orders of as many students, two of them cooking and two ready."""
    dishes = ["Beef Haleem", "Firni", "Chicken Haleem", "Beef Tehari", "Chicken Biryani", "Beef Haleem"]
    orders = [
        await site.order(site.student(), await item_id(name), number % 3 + 1)
        for number, name in enumerate(dishes)
    ]
    for order in orders[:4]:
        await site.cook("start", order.id)
    for order in orders[:2]:
        await site.cook("ready", order.id)
    return [order.id for order in orders]


async def test_the_menu(open_page, student_id: str, few_and_none) -> None:
    for scheme in ("light", "dark"):
        page = await open_page("/", signed_in_as=student_id, scheme=scheme, **UNMOVING)
        await expect(page.get_by_text("Only 7 left")).to_be_visible()
        await take(page, f"student-menu-360-{scheme}")
    page = await open_page("/", signed_in_as=student_id, viewport=DESK, **UNMOVING)
    await expect(page.get_by_text("Only 7 left")).to_be_visible()
    await fill_basket(page)
    await take(page, "student-menu-1280")


async def test_the_basket_and_the_sign_in(open_page) -> None:
    page = await open_page("/", **UNMOVING)
    await fill_basket(page)
    await page.get_by_role("button", name=re.compile("^Your basket")).click()
    await take(page, "student-basket-360")
    await page.get_by_role("button", name=re.compile("^Order now")).click()
    await expect(page.get_by_label("Student ID")).to_be_visible()
    await take(page, "student-signin-360")


async def test_a_dish_that_sold_out_in_the_basket(site, open_page, student_id: str) -> None:
    dish = await site.dish(1, name="Narikel Pitha", price="220")
    page = await open_page("/", signed_in_as=student_id, **UNMOVING)
    await fill_basket(page)
    await page.get_by_role("button", name="Add Narikel Pitha").click()
    await site.order(site.student(), dish.id)
    await page.get_by_role("button", name=re.compile("^Your basket")).click()
    sold_out = page.get_by_text("Remove it to order the rest")
    await expect(sold_out).to_be_visible()
    await sold_out.scroll_into_view_if_needed()
    await take(page, "student-soldout-360")


async def test_an_order_from_the_kitchen_to_the_counter(site, open_page, student_id: str) -> None:
    page = await open_page("/", signed_in_as=student_id, **UNMOVING)
    await fill_basket(page)
    order_id = await place(page)
    await site.cook("start", order_id)
    await expect(page.get_by_text("A cook has begun with it.")).to_be_visible()
    await take(page, "student-tracker-kitchen-360")
    await site.cook("ready", order_id)
    await expect(page.get_by_text("Your food is at the counter.").first).to_be_visible()
    await take(page, "student-ready-360-light")
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    await take(page, "student-ready-360-dark")


async def test_too_busy_and_offline(open_page, student_id: str) -> None:
    page = await open_page("/", signed_in_as=student_id, **UNMOVING)
    headers = {"Retry-After": "8", "Content-Type": "application/problem+json"}
    await page.route("**/v1/orders", lambda route: route.fulfill(status=503, body=BUSY, headers=headers))
    await fill_basket(page)
    await page.get_by_role("button", name=re.compile("^Order now")).click()
    await expect(page.get_by_text("Very busy.").first).to_be_visible()
    await take(page, "student-busy-360")
    await page.context.set_offline(True)
    await expect(page.get_by_text("You are offline.").first).to_be_visible()
    await take(page, "student-offline-360")


async def test_the_kitchen_and_the_board(site, open_named, item_id) -> None:
    await line_of_tickets(site, item_id)
    kitchen = await open_named("kitchen", viewport=TABLET, **UNMOVING)
    await expect(kitchen.get_by_role("button", name=re.compile("START")).first).to_be_visible()
    await take(kitchen, "kitchen-line-1280")
    await kitchen.route("**/v1/tickets**", lambda route: route.abort())
    await expect(kitchen.get_by_text("NOT LIVE").first).to_be_visible(timeout=30_000)
    await take(kitchen, "kitchen-notlive-1280")
    counter = await open_named("kitchen", path="/kitchen#counter", **UNMOVING)
    await expect(counter.get_by_role("button", name=re.compile("COLLECTED")).first).to_be_visible()
    await take(counter, "kitchen-counter-360")
    board = await open_named("board", viewport=HALL, **UNMOVING)
    await expect(board.get_by_text("COOKING").first).to_be_visible()
    await take(board, "board-1920")


async def test_the_operators_page(open_named) -> None:
    page = await open_named("ops", viewport=DESK, **UNMOVING)
    await expect(page.locator("#service-stock")).to_have_attribute("data-kind", "ready")
    await take(page, "ops-now-1280")
    await page.set_viewport_size({"width": 360, "height": 640})
    await take(page, "ops-360")
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.goto(page.url.partition("#")[0] + "#demo")
    await expect(page.get_by_role("button", name=re.compile("200 students"))).to_be_visible()
    await take(page, "ops-demo-1280")


async def test_the_alert(open_named) -> None:
    async def as_if_slow(route: Route) -> None:
        answer = await route.fetch()
        pulse = await answer.json()
        slow = {"is_slow": True, "slow_since": pulse["at"], "mean_ms": SLOW_MS}
        await route.fulfill(response=answer, json={**pulse, **slow})

    async def before(page: Page) -> None:
        await page.route("**/v1/ops/gateway", as_if_slow)

    # the driver's own requests know no names below localhost
    page = await open_named("ops", host="localhost", viewport=DESK, before=before, **UNMOVING)
    await expect(page.get_by_text("slowly").first).to_be_visible()
    await take(page, "ops-alert-1280")
