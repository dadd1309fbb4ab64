"""The demo's controls: members fall and come back, also while identity is dead, and a crowd orders without a loss."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Request, expect

WIDE = (1280, 800)
HOST = "ops.localhost"
BACK_MS = 30_000
"""A member starts on a busy machine."""

CROWD_MS = 90_000
STUDENTS = 40


@pytest.fixture
def open_demo(open_page) -> Any:
    """Open the controls as the operator."""

    def open_demo(section: str = "demo", **options: Any) -> Any:
        chosen = {"signed_in_as": "operator-1", "host": HOST, "viewport": WIDE, **options}
        return open_page(f"/ops#{section}", **chosen)

    return open_demo


def member(page: Page, name: str) -> Locator:
    return page.locator(f'[data-member="{name}"]')


async def expect_member(page: Page, name: str, state: str) -> None:
    await expect(member(page, name).locator(".badge")).to_have_text(state, timeout=BACK_MS)


async def switch(page: Page, name: str) -> None:
    await member(page, name).get_by_role("switch").click()


async def test_a_member_is_switched_off_and_on(open_demo) -> None:
    page = await open_demo()
    await expect_member(page, "stock", "running")
    await switch(page, "stock")
    await expect_member(page, "stock", "off")
    await expect(member(page, "stock").get_by_role("button", name="Kill once")).to_have_count(0)
    await page.get_by_role("link", name="Now").click()
    await expect(page.locator("#service-stock")).to_contain_text("DOWN")
    await page.get_by_role("link", name="Demo").click()
    await switch(page, "stock")
    await expect_member(page, "stock", "running")


async def test_a_member_that_is_killed_once_comes_back_by_itself(open_demo) -> None:
    page = await open_demo()
    await expect_member(page, "notification", "running")
    await member(page, "notification").get_by_role("button", name="Kill once").click()
    await expect(member(page, "notification")).to_contain_text(
        re.compile("came back [0-9]+ time"), timeout=BACK_MS
    )
    await expect_member(page, "notification", "running")


async def test_a_member_is_frozen_and_thawed(open_demo) -> None:
    page = await open_demo()
    await expect_member(page, "kitchen", "running")
    await member(page, "kitchen").get_by_role("button", name="Freeze kitchen").click()
    await expect_member(page, "kitchen", "frozen")
    await member(page, "kitchen").get_by_role("button", name="Thaw kitchen").click()
    await expect_member(page, "kitchen", "running")


async def test_what_all_services_need_is_asked_twice(open_demo) -> None:
    page = await open_demo()
    changes: list[Request] = []
    page.on("request", lambda request: changes.append(request) if request.method == "POST" else None)
    await switch(page, "postgres")
    await expect(
        page.locator("main").get_by_text("All services lose postgres until you switch it on.")
    ).to_be_visible()
    await expect(page.get_by_role("button", name="Switch it off")).to_be_focused()
    await page.get_by_role("button", name="Keep it as it is").click()
    await expect(member(page, "postgres").get_by_role("switch")).to_be_focused()
    await member(page, "nats").get_by_role("button", name="Kill once").click()
    await page.keyboard.press("Escape")
    await expect(member(page, "nats").get_by_role("button", name="Kill once")).to_be_focused()
    await expect_member(page, "postgres", "running")
    assert changes == []


@pytest.fixture
async def identity_back(site) -> AsyncIterator[None]:
    """Identity runs again after the test, however it ended."""
    yield
    if not site.processes.is_running("identity"):
        await site.processes.start("identity")
    await site.processes.ready("identity")


@pytest.mark.usefixtures("identity_back")
async def test_identity_is_started_by_who_was_signed_out_while_it_was_dead(open_demo) -> None:
    """The pages' own cookie has ended with its token; the controls know the operator all the same."""
    page = await open_demo()
    await expect_member(page, "identity", "running")
    await switch(page, "identity")
    await expect_member(page, "identity", "off")
    await page.context.clear_cookies(name="cafeteria_access")
    await page.get_by_role("link", name="Now").click()
    is_down = page.locator("main").get_by_text(re.compile("^Signed out, and identity is down"))
    await expect(is_down).to_be_visible()
    await page.get_by_role("button", name="Start identity").click()
    await expect(is_down).to_have_count(0, timeout=BACK_MS)
    await expect(page.get_by_label("Your ID")).to_be_visible()


async def test_who_is_no_operator_is_refused_and_told_so(open_demo, student_id: str) -> None:
    page = await open_demo(signed_in_as=student_id, host="localhost")
    await expect(page.get_by_role("heading", name="This page is for the operator")).to_be_visible()
    status = await page.evaluate(
        "() => fetch('/demo/members/stock/off', {method: 'POST'}).then((answer) => answer.status)"
    )
    assert status == 403


async def test_a_crowd_orders_and_nothing_is_lost(site, open_demo) -> None:
    await site.dish(STUDENTS)
    page = await open_demo()
    await page.get_by_label("Students", exact=True).fill("201")
    await page.get_by_role("button", name=re.compile("^Let [0-9]+ students order")).click()
    await expect(
        page.locator("main").get_by_text("1 to 200 students begin within 0 to 60 seconds.")
    ).to_be_visible()
    await page.get_by_label("Students", exact=True).fill(str(STUDENTS))
    await page.get_by_label("All begin within (s)").fill("2")
    await page.get_by_role("button", name=f"Let {STUDENTS} students order").click()
    await expect(page.locator("main").get_by_text(f"{STUDENTS} students order…")).to_be_visible(
        timeout=BACK_MS
    )
    await expect(page.locator("main").get_by_text(f"{STUDENTS} students ordered.")).to_be_visible(
        timeout=CROWD_MS
    )
    figures = page.locator("#crowd-figures")
    await expect(figures.locator("div").filter(has_text="Placed").locator("dd")).to_have_text(str(STUDENTS))
    await expect(figures.locator("div").filter(has_text="Lost").locator("dd")).to_have_text("0")


async def test_the_kitchen_is_handed_to_people_and_back(open_demo) -> None:
    page = await open_demo()
    await page.get_by_role("button", name="Let people cook").click()
    await expect(page.locator("main").get_by_text(re.compile("^People cook:"))).to_be_visible(timeout=BACK_MS)
    await page.get_by_role("button", name="Let it cook by itself").click()
    await expect(page.locator("main").get_by_text(re.compile("^The kitchen cooks by itself."))).to_be_visible(
        timeout=BACK_MS
    )
    await expect_member(page, "kitchen", "running")


async def test_without_controls_the_section_is_absent(open_demo) -> None:
    async def without_controls(page: Page) -> None:
        await page.route(
            "**/demo",
            lambda route: route.fulfill(status=404, body="{}", content_type="application/problem+json"),
        )

    page = await open_demo("now", before=without_controls)
    await expect(page.locator("main").get_by_text("All five services are ready.")).to_be_visible()
    await expect(page.get_by_role("link", name="Demo")).to_have_count(0)


async def test_controls_that_stop_answering_are_named(open_demo) -> None:
    page = await open_demo()
    await expect_member(page, "stock", "running")
    await page.route("**/demo", lambda route: route.abort())
    await expect(
        page.locator("main").get_by_text("The demo controls do not answer. What is shown is old.")
    ).to_be_visible()
