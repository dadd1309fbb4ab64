"""The operator finds, creates and changes accounts; a one-time password is shown once."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

WIDE = (1280, 800)
HOST = "localhost"
HASHED_MS = 15_000
"""The threads that hash passwords have a low priority."""


@pytest.fixture
def open_people(open_page) -> Any:
    """Open the accounts, or one of them, as the operator."""

    def open_people(student_id: str = "", **options: Any) -> Any:
        section = f"people/{student_id}" if student_id else "people"
        chosen = {"signed_in_as": "operator-1", "host": HOST, "viewport": WIDE, **options}
        return open_page(f"/ops#{section}", **chosen)

    return open_people


async def press_twice(page: Page, name: str, answer: str) -> None:
    await page.get_by_role("button", name=name).click()
    await expect(page.get_by_role("button", name=answer)).to_be_focused()
    await page.get_by_role("button", name=answer).click()


async def test_a_search_finds_an_account_and_opens_it(open_people, student_id: str) -> None:
    page = await open_people()
    await page.get_by_label("Find by ID or name").fill(student_id[:-1])
    found = page.get_by_role("link", name=re.compile(student_id))
    await found.click()
    await expect(page.get_by_role("heading", name=student_id)).to_be_focused()
    await page.get_by_role("link", name="All people").click()
    await expect(page.get_by_label("Find by ID or name")).to_have_value(student_id[:-1])
    await page.get_by_label("Role").select_option("Kitchen")
    await expect(page.locator("main").get_by_text("No account fits this search.")).to_be_visible()


async def test_a_new_account_gets_a_one_time_password_that_is_shown_once(open_people, password: str) -> None:
    page = await open_people(permissions=["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="New account").click()
    await page.get_by_label("ID", exact=True).fill("two words")
    await page.get_by_role("button", name="Create the account").click()
    await expect(
        page.locator("main").get_by_text("An ID has 1 to 32 letters, digits and hyphens.")
    ).to_be_visible()
    await page.get_by_label("ID", exact=True).fill("newcomer-1")
    await page.get_by_label("Full name").fill("New Comer")
    await page.get_by_role("button", name="Create the account").click()
    heading = page.get_by_role("heading", name="One-time password of newcomer-1")
    await expect(heading).to_be_focused(timeout=HASHED_MS)
    shown = await page.locator(".one-time .code").inner_text()
    assert re.fullmatch(r"([a-z0-9]{4}-){3}[a-z0-9]{4}", shown)
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    await page.get_by_role("button", name="Put it away").click()
    await expect(heading).to_have_count(0)
    assert shown not in await page.content()
    await page.reload()
    await expect(page.get_by_role("heading", name="newcomer-1")).to_be_visible()
    assert shown not in await page.content()


async def test_an_account_is_disabled_and_enabled_after_a_question(open_people, student_id: str) -> None:
    page = await open_people(student_id)
    await page.get_by_role("button", name="Disable").click()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Disable")).to_be_focused()
    await press_twice(page, "Disable", "Disable the account")
    await expect(
        page.locator("main").get_by_text("The account is disabled, and all sessions have ended.")
    ).to_be_visible()
    await page.get_by_role("button", name="Enable").click()
    await expect(page.locator("main").get_by_text("The account is enabled.")).to_be_visible()


async def test_sessions_are_listed_and_ended(site, open_people, open_page, student_id: str) -> None:
    await open_page("/", signed_in_as=student_id)
    page = await open_people(student_id)
    sessions = page.get_by_role("region", name="Signed in on")
    await expect(sessions.get_by_role("listitem")).to_have_count(1)
    logins = page.get_by_role("region", name="Attempts to sign in")
    await expect(logins.get_by_role("listitem").first).to_contain_text("signed in")
    await press_twice(page, "End all sessions", "End them")
    await expect(page.locator("main").get_by_text("All sessions have ended.")).to_be_visible()
    await expect(sessions).to_contain_text("Nowhere.")


async def test_a_role_is_changed_after_a_question(open_people, student_id: str) -> None:
    page = await open_people(student_id)
    await page.get_by_label("Role").select_option("Kitchen")
    await page.get_by_role("button", name="Change the role").click()
    await expect(
        page.locator("main").get_by_text("The role is changed, and all sessions have ended.")
    ).to_be_visible()
    await page.get_by_role("link", name="All people").click()
    await page.get_by_label("Role").select_option("Kitchen")
    await expect(page.get_by_role("link", name=re.compile(student_id))).to_be_visible()


async def test_the_own_account_is_not_changed_by_its_operator(open_people) -> None:
    page = await open_people("operator-1")
    await expect(page.locator("main").get_by_text(re.compile("^This is your own account"))).to_be_visible()
    await expect(page.get_by_role("button", name="Disable")).to_have_count(0)


async def test_a_taken_id_is_said_at_the_form_and_nothing_is_lost(open_people, student_id: str) -> None:
    page = await open_people()
    await page.get_by_role("button", name="New account").click()
    await page.get_by_label("ID", exact=True).fill(student_id)
    await page.get_by_label("Full name").fill("Somebody Else")
    await page.get_by_role("button", name="Create the account").click()
    await expect(
        page.locator("main").get_by_text(re.compile("^This ID has an account already."))
    ).to_be_visible(timeout=HASHED_MS)
    await expect(page.get_by_label("Full name")).to_have_value("Somebody Else")


async def test_an_unknown_account_is_said(open_people) -> None:
    page = await open_people("nobody-here")
    await expect(page.locator("main").get_by_text("There is no such account.")).to_be_visible()
