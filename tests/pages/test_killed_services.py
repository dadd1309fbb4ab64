"""The operator switches each service off while ten students order: its fall is shown at once, and nothing is lost or doubled."""

import asyncio
import re
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
from playwright.async_api import Page, expect

from cafeteria.contracts.stock import Item
from cafeteria.contracts.subjects import GATEWAY, NOTIFICATION, SERVICES

STUDENTS = 10
PORTIONS = 8
"""Fewer than students: two of them are told that the dish is sold out."""

NAMED_WITHIN_S = 2.0
ENDS_WITHIN_MS = 90_000
READY, SOLD_OUT = "Your food is at the counter.", "Sold out before your order was confirmed"
STUDENTS_SEE = {
    GATEWAY: re.compile(r"As of [0-9:]+\. Trying again|The menu cannot be loaded just now"),
    NOTIFICATION: re.compile("Reconnecting"),
}
"""What a student's page says of a service that is away; of the others it has nothing to say until it needs them."""


@pytest.fixture(scope="module")
async def site(running_site: Any) -> AsyncIterator[Any]:
    """A site of its own, where nothing orders but the pages, so that all invariants can be checked."""
    async with running_site() as site:
        yield site


async def order(page: Page, dish: Item) -> None:
    await page.get_by_role("button", name=f"Add {dish.name}", exact=True).click()
    await page.get_by_role("button", name=re.compile("^Order now")).click()


async def switch(controls: Page, service: str) -> None:
    await controls.locator(f'[data-member="{service}"]').get_by_role("switch").click()


async def until_kind(ops: Page, service: str, kind: str, *, within_s: float) -> None:
    await expect(ops.locator(f"#service-{service}")).to_have_attribute(
        "data-kind", kind, timeout=within_s * 1000
    )


async def until_ended(page: Page) -> str:
    """Return how the page says that the order ended, whatever was away meanwhile."""
    ended = page.get_by_text(re.compile(f"{READY}|{SOLD_OUT}")).filter(visible=True).first
    await expect(ended).to_be_visible(timeout=ENDS_WITHIN_MS)
    return SOLD_OUT if SOLD_OUT in await ended.inner_text() else READY


@pytest.mark.timeout(400)
@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_that_falls_is_named_and_no_order_is_lost_or_doubled(
    site: Any, open_page: Any, open_named: Any, service: str
) -> None:
    dish = await site.dish(PORTIONS)
    ops = await open_named("ops", viewport=(1280, 800))
    controls = await ops.context.new_page()
    await controls.goto(f"{site.at('ops.localhost')}/ops#demo")
    pages = [await open_page("/", signed_in_as=site.student()) for _ in range(STUDENTS)]
    await until_kind(ops, service, "ready", within_s=30)
    await order(pages[0], dish)
    ordering = [asyncio.create_task(order(page, dish)) for page in pages[1:]]
    await switch(controls, service)
    switched_at = monotonic()
    await until_kind(ops, service, "down", within_s=NAMED_WITHIN_S)
    print(f"{service}: named after {monotonic() - switched_at:.1f} s")  # noqa: T201 - a figure for the record
    await asyncio.gather(*ordering)
    for page in pages if service in STUDENTS_SEE else ():
        await expect(page.get_by_text(STUDENTS_SEE[service]).filter(visible=True).first).to_be_visible()
    await switch(controls, service)
    await until_kind(ops, service, "ready", within_s=60)
    outcomes = await asyncio.gather(*(until_ended(page) for page in pages))
    assert sorted(outcomes) == sorted([SOLD_OUT] * (STUDENTS - PORTIONS) + [READY] * PORTIONS)
    await site.until_promise_holds()
