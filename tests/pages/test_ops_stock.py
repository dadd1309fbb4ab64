"""The operator keeps the store: levels, restocks that happen once, what is on sale, new dishes, tomorrow's quantities."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

WIDE = (1280, 800)
HOST = "localhost"
AGAIN_MS = 15_000


@pytest.fixture
def open_stock(open_page) -> Any:
    """Open the store as the operator."""

    def open_stock(**options: Any) -> Any:
        chosen = {"signed_in_as": "operator-1", "host": HOST, "viewport": WIDE, **options}
        return open_page("/ops#stock", **chosen)

    return open_stock


def dish_row(page: Page, item: Any) -> Locator:
    return page.locator(f'[data-item="{item.id}"]')


async def lose_first_answer(page: Page, pattern: str) -> list[str]:
    """The first request that fits arrives, and its answer is lost. Return the keys of all that fit, as they are sent."""
    keys: list[str] = []

    async def handle(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            await route.continue_()
            return
        await route.fetch()
        await route.abort()

    await page.route(pattern, handle)
    return keys


async def expect_left(site: Any, page: Page, item: Any, quantity: int) -> None:
    await expect(dish_row(page, item).locator(".level-left")).to_have_text(
        f"{quantity} left", timeout=AGAIN_MS
    )
    await site.until_true("SELECT quantity = $2 FROM stock.inventory WHERE item_id = $1", item.id, quantity)


async def test_a_press_adds_fifty_and_a_typed_number_adds_that(site, open_stock) -> None:
    dish = await site.dish(7)
    page = await open_stock()
    row = dish_row(page, dish)
    await row.get_by_role("button", name=f"Add 50 portions of {dish.name}").click()
    await expect_left(site, page, dish, 57)
    await row.get_by_label(f"Portions of {dish.name} to add").fill("৩")
    await row.get_by_role("button", name=f"Add the typed portions of {dish.name}").click()
    await expect_left(site, page, dish, 60)
    await expect(row).to_contain_text("3 portions added at")


async def test_a_restock_whose_answer_was_lost_happens_once(site, open_stock) -> None:
    dish = await site.dish(7)
    page = await open_stock()
    keys = await lose_first_answer(page, "**/restock")
    await dish_row(page, dish).get_by_role("button", name=re.compile("^Add 50")).click()
    await expect(dish_row(page, dish)).to_contain_text("Not known yet whether 50 portions were added")
    await expect(dish_row(page, dish)).to_contain_text("50 portions added at", timeout=AGAIN_MS)
    await expect_left(site, page, dish, 57)
    assert len(set(keys)) == 1 < len(keys)


async def test_a_restock_is_asked_again_after_a_reload_under_its_key(site, open_stock) -> None:
    dish = await site.dish(7)
    page = await open_stock()
    keys = await lose_first_answer(page, "**/restock")
    await dish_row(page, dish).get_by_role("button", name=re.compile("^Add 50")).click()
    await expect(dish_row(page, dish)).to_contain_text("Not known yet")
    await page.reload()
    await expect(dish_row(page, dish)).to_contain_text("50 portions added at", timeout=AGAIN_MS)
    await expect_left(site, page, dish, 57)
    assert len(set(keys)) == 1 < len(keys)


async def test_a_dish_is_taken_off_sale_and_put_on_again(site, open_stock) -> None:
    dish = await site.dish(7)
    page = await open_stock()
    switch = dish_row(page, dish).get_by_role("switch")
    await expect(switch).to_be_checked()
    await switch.click()
    await expect(switch).not_to_be_checked()
    await site.until_true("SELECT NOT on_sale FROM stock.items WHERE id = $1", dish.id)
    await switch.click()
    await expect(switch).to_be_checked()
    await site.until_true("SELECT on_sale FROM stock.items WHERE id = $1", dish.id)


async def test_name_and_price_are_changed_and_a_wrong_price_stays_in_the_form(site, open_stock) -> None:
    dish = await site.dish(7)
    page = await open_stock()
    await page.get_by_role("button", name=f"Edit name and price of {dish.name}").click()
    await expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    price = page.get_by_label("Price in taka")
    await price.fill("1,50")
    await page.get_by_role("button", name="Save").click()
    await expect(price).to_be_focused()
    await expect(page.locator("main").get_by_text("A price is a number like 120 or 120.50.")).to_be_visible()
    await price.fill("12.5")
    await page.get_by_role("textbox", name="Name").fill(f"{dish.name} hot")
    await page.get_by_role("button", name="Save").click()
    await expect(dish_row(page, dish)).to_contain_text(f"{dish.name} hot")
    await expect(dish_row(page, dish)).to_contain_text("৳12.50")
    await expect(page.get_by_role("button", name=f"Edit name and price of {dish.name} hot")).to_be_focused()


async def test_a_new_dish_whose_answer_was_lost_is_there_once(site, open_stock) -> None:
    page = await open_stock()
    keys = await lose_first_answer(page, "**/v1/items")
    await page.get_by_role("button", name="New dish").click()
    await page.get_by_role("button", name="Create, on sale at once").click()
    await expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    await page.get_by_role("textbox", name="Name").fill("Dish of the operator")
    await page.get_by_label("Price in taka").fill("40")
    await page.get_by_label("Portions", exact=True).fill("80")
    await page.get_by_role("button", name="Create, on sale at once").click()
    created = page.get_by_role("listitem").filter(has_text="Dish of the operator")
    await expect(created).to_contain_text("80 left", timeout=AGAIN_MS)
    await site.until_true("SELECT count(*) = 1 FROM stock.items WHERE name = 'Dish of the operator'")
    assert len(set(keys)) == 1


async def test_tomorrows_quantities_are_sent_in_one_go_and_each_row_says_what_became_of_it(
    site, open_stock
) -> None:
    first, second, third = [await site.dish(count) for count in (7, 0, 300)]
    page = await open_stock()
    keys = await lose_first_answer(page, f"**/{second.id}/restock")
    await page.get_by_role("button", name="Tomorrow's quantities").click()
    for dish, typed in ((first, "113"), (second, "120"), (third, "many")):
        await page.get_by_label(f"Portions of {dish.name} to add").fill(typed)
    send = page.get_by_role("button", name=re.compile("^Add 233 portions to 2 dishes"))
    await send.click()
    await expect(
        page.locator("main").get_by_text("1 amount is no number from 1 to 1,000,000. Nothing was sent.")
    ).to_be_visible()
    await page.get_by_label(f"Portions of {third.name} to add").fill("")
    await send.click()
    await expect(
        page.locator("main").get_by_text(re.compile("^1 of 2 dishes are done; 1 is not known yet"))
    ).to_be_visible()
    await page.reload()
    await expect(
        page.locator("main").get_by_text("All 2 dishes are done: 233 portions were added.")
    ).to_be_visible(timeout=AGAIN_MS)
    row = page.get_by_role("row").filter(has_text=second.name)
    await expect(row).to_contain_text("120 portions added at")
    await page.get_by_role("button", name="Done").click()
    for dish, left in ((first, 120), (second, 120), (third, 300)):
        await expect_left(site, page, dish, left)
    assert len(set(keys)) == 1 < len(keys)


async def test_fill_up_adds_what_is_missing(site, open_stock) -> None:
    few, many = await site.dish(7), await site.dish(500)
    page = await open_stock()
    await page.get_by_role("button", name="Tomorrow's quantities").click()
    await page.get_by_label("Fill every dish up to").fill("100")
    await page.get_by_role("button", name="Fill in").click()
    await expect(page.get_by_label(f"Portions of {few.name} to add")).to_have_value("93")
    await expect(page.get_by_label(f"Portions of {many.name} to add")).to_have_value("")


async def test_levels_stay_and_say_how_old_they_are_when_stock_falls(site, open_stock) -> None:
    dish = await site.dish(7)
    page = await open_stock()
    await expect(dish_row(page, dish)).to_be_visible()
    await site.processes.stop("stock")
    try:
        await expect(
            page.locator("main").get_by_text(re.compile("^Stock does not answer. What is shown here is from"))
        ).to_be_visible()
        await expect(dish_row(page, dish)).to_contain_text("7 left")
    finally:
        await site.processes.start("stock")
    await expect(page.locator("main").get_by_text(re.compile("^Stock does not answer"))).to_have_count(0)
