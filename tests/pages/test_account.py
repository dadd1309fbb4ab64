"""Signing in, and what people do with their account, in a browser against the real services."""

import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from playwright.async_api import BrowserContext, Locator, Page, Request, expect

from cafeteria.testkit.plugin import until

pytestmark = pytest.mark.pages

NEW_PASSWORD = "saffron-lantern-41"
TOKEN_S = 5
SOONEST_RENEWAL_S = 0.65 * TOKEN_S
HASHED_MS = 15_000  # a sign-in computes a costly hash, and the whole suite wants the same cores


async def sign_in(page: Page, student_id: str, password: str) -> None:
    await page.get_by_label("Student ID").fill(student_id)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).last.click()


async def opened_form(page: Page) -> None:
    await page.get_by_role("button", name="Sign in", exact=True).first.click()
    await expect(page.get_by_label("Student ID")).to_be_visible()


async def opened_panel(page: Page, student_id: str) -> Locator:
    panel = page.locator("details.account")
    await panel.locator("summary", has_text=student_id).click()
    await expect(panel.get_by_role("heading", name="Where you are signed in")).to_be_visible()
    return panel


async def is_signed_in(context: BrowserContext, url: str) -> bool:
    return bool((await context.request.get(f"{url}/v1/me")).ok)


async def one_time_password(site: Any, student_id: str) -> str:
    answer = await site.send("POST", "identity", f"/v1/students/{student_id}/reset-password")
    return str(msgspec.json.decode(answer)["one_time_password"])


async def test_a_password_for_one_use_is_replaced_at_the_sign_in(site, open_page, student_id) -> None:
    page = await open_page("/")
    await opened_form(page)
    await sign_in(page, student_id, await one_time_password(site, student_id))

    field = page.get_by_role("textbox", name="New password")
    heading = page.get_by_role("heading", name="Choose a new password")
    await expect(heading).to_be_visible(timeout=HASHED_MS)
    await expect(field).to_be_focused()
    await field.fill("password1")
    await page.get_by_role("button", name="Save and sign in").click()
    unusable = page.locator("#login-message").get_by_text("This password cannot be used")
    await expect(unusable).to_be_visible(timeout=HASHED_MS)
    await field.fill(NEW_PASSWORD)
    await page.get_by_role("button", name="Save and sign in").click()

    await expect(page.locator("details.account")).to_contain_text(student_id, timeout=HASHED_MS)


async def test_a_wrong_password_is_named_and_focused_and_bangla_digits_are_the_same_id(
    open_page, student_id, password
) -> None:
    page = await open_page("/")
    await opened_form(page)
    await sign_in(page, student_id, "wrong")

    message = page.locator("#login-message")
    await expect(message).to_contain_text("Student ID or password is not right.", timeout=HASHED_MS)
    await expect(page.locator("#urgent")).to_have_text("Student ID or password is not right.")
    await expect(page.get_by_label("Password", exact=True)).to_be_focused()
    await sign_in(page, student_id.translate(str.maketrans("0123456789", "০১২৩৪৫৬৭৮৯")), password)

    await expect(page.locator("details.account")).to_contain_text(student_id, timeout=HASHED_MS)


async def test_a_changed_password_signs_the_other_devices_out(site, open_page, student_id, password) -> None:
    page = await open_page("/", signed_in_as=student_id)
    other = await open_page("/", signed_in_as=student_id)
    panel = await opened_panel(page, student_id)
    await expect(panel.get_by_text("This device")).to_have_count(1)

    await panel.get_by_label("Old password").fill("wrong")
    await panel.get_by_label("New password").fill(NEW_PASSWORD)
    await panel.get_by_role("button", name="Change password").click()
    wrong = panel.get_by_text("The old password is not right. Nothing was changed.")
    await expect(wrong).to_be_visible(timeout=HASHED_MS)
    await expect(panel.get_by_label("Old password")).to_be_focused()
    await panel.get_by_label("Old password").fill(password)
    await panel.get_by_role("button", name="Change password").click()

    await expect(panel.get_by_text("Your password is changed")).to_be_visible(timeout=HASHED_MS)
    await expect(panel.get_by_role("listitem")).to_have_count(1)
    await expect(panel.get_by_label("New password")).to_have_value("")
    await until(lambda: signed_out(other.context, site.url))
    assert await is_signed_in(page.context, site.url)


async def signed_out(context: BrowserContext, url: str) -> bool:
    return not await is_signed_in(context, url)


async def test_a_device_is_signed_out_from_another_one(site, open_page, student_id) -> None:
    other = await open_page("/", signed_in_as=student_id)
    page = await open_page("/", signed_in_as=student_id)
    panel = await opened_panel(page, student_id)
    await expect(panel.get_by_role("listitem")).to_have_count(2)

    await panel.get_by_role("button", name="Sign out Chrome").click()

    await expect(panel.get_by_role("listitem")).to_have_count(1)
    await until(lambda: signed_out(other.context, site.url))
    assert await is_signed_in(page.context, site.url)


async def test_signing_out_takes_the_cookies_and_tells_the_other_tabs(open_page, student_id) -> None:
    page = await open_page("/", signed_in_as=student_id)
    tab = await page.context.new_page()
    await tab.goto(page.url)
    await expect(tab.locator("details.account")).to_contain_text(student_id)

    panel = await opened_panel(page, student_id)
    await panel.get_by_role("button", name="Sign out", exact=True).first.click()

    for each in (page, tab):
        await expect(each.get_by_role("button", name="Sign in", exact=True).first).to_be_visible()
        await expect(each.locator("details.account")).to_have_count(0)
    names = {cookie["name"] for cookie in await page.context.cookies()}
    assert not names & {"cafeteria_access", "cafeteria_refresh", "cafeteria_logout"}


async def test_a_tab_stops_when_somebody_else_has_signed_in_beside_it(site, open_page, student_id) -> None:
    page = await open_page("/", signed_in_as=student_id)
    await expect(page.locator("details.account")).to_contain_text(student_id)
    other = site.student()
    await site.sign_in(page.context, other)
    tab = await page.context.new_page()
    await tab.goto(page.url)
    await expect(tab.locator("details.account")).to_contain_text(other)

    await expect(page.get_by_text(f"{other} has signed in in another tab.").first).to_be_visible()
    await page.get_by_role("button", name="Sign in again").click()
    await expect(page.locator("details.account")).to_contain_text(other)


@pytest.fixture
async def short_tokens(site) -> AsyncIterator[None]:
    environment = site.processes.environments.setdefault("identity", {})
    environment["IDENTITY_ACCESS_TOKEN_S"] = str(TOKEN_S)
    await site.processes.restart("identity")
    yield
    del environment["IDENTITY_ACCESS_TOKEN_S"]
    await site.processes.restart("identity")


async def test_a_session_renews_itself_once_for_all_tabs(
    short_tokens, site, open_page, student_id, password
) -> None:
    page = await open_page("/")
    renewals: list[float] = []

    def note(request: Request) -> None:
        if request.url.endswith("/v1/token/refresh"):
            renewals.append(time.monotonic())

    page.context.on("request", note)
    await opened_form(page)
    await sign_in(page, student_id, password)
    await expect(page.locator("details.account")).to_contain_text(student_id, timeout=HASHED_MS)
    tab = await page.context.new_page()
    await tab.goto(site.url)
    await expect(tab.locator("details.account")).to_contain_text(student_id)
    begun = len(renewals)

    await until(lambda: len(renewals) >= begun + 3, timeout_s=60)
    gaps = [later - earlier for earlier, later in pairwise(renewals[begun:])]
    assert min(gaps) > SOONEST_RENEWAL_S / 2, gaps
    for each in (page, tab):
        await expect(each.locator("details.account")).to_contain_text(student_id)
