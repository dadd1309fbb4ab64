"""A student who uses no mouse: from the menu over signing in to the order, and back again."""

import re

import pytest
from playwright.async_api import Page, expect

from cafeteria.testkit.plugin import until

FOCUSED_NAME = """() => {
    const each = document.activeElement;
    const label = each.id ? document.querySelector(`label[for="${each.id}"]`)?.textContent : "";
    return (each.getAttribute("aria-label") || label || each.textContent).trim();
}"""
MOST_TABS = 120


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focused control's name begins so."""
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        if (await page.evaluate(FOCUSED_NAME)).startswith(name):
            return
    pytest.fail(f"{name!r} was not reached in {MOST_TABS} steps")


async def test_a_newcomer_orders_by_keyboard_alone(site, open_page, student_id: str, password: str) -> None:
    dish = await site.dish(5)
    page = await open_page("/")
    await page.get_by_role("heading", name=dish.name).wait_for()
    await tab_to(page, f"Add {dish.name}")
    await page.keyboard.press("Enter")
    await tab_to(page, f"One more {dish.name}")
    await page.keyboard.press("Space")
    await tab_to(page, "Order now")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Student ID")).to_be_focused()
    await page.keyboard.type(student_id)
    await page.keyboard.press("Tab")
    await page.keyboard.type(password)
    await page.keyboard.press("Enter")
    await expect(page.locator("#tracker-title")).to_be_focused()
    await expect(page.get_by_text("Your food is at the counter.").first).to_be_visible()
    await expect(page.get_by_text(f"2 \N{MULTIPLICATION SIGN} {dish.name}").first).to_be_visible()


@pytest.mark.parametrize(
    ("name", "path", "heading"),
    [
        ("student", "/#help", "Help"),
        ("kitchen", "/kitchen#counter", "Ready"),
        ("board", "/board", "COOKING"),
        ("ops", "/ops#stock", "Stock"),
    ],
)
async def test_the_skip_link_leads_past_the_header_and_stays_in_the_section(
    open_named, name: str, path: str, heading: str
) -> None:
    page = await open_named(name, path=path)
    shown = page.locator("main").get_by_role("heading", name=heading).first
    await expect(shown).to_be_attached()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await until(lambda: page.evaluate("() => document.activeElement.closest('main') !== null"))
    await expect(shown).to_be_attached()


async def test_escape_closes_the_basket_and_the_focus_returns(site, open_page, student_id: str) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    await page.get_by_role("button", name=f"Add {dish.name}").click()
    toggle = page.get_by_role("button", name=re.compile("^Your basket"))
    await toggle.focus()
    await page.keyboard.press("Enter")
    await expect(toggle).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")
    await expect(toggle).to_have_attribute("aria-expanded", "false")
    await expect(toggle).to_be_focused()
