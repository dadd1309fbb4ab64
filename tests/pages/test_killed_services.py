"""Each service is killed while ten students order: the operator sees it within two seconds, and nothing is lost or doubled."""

import asyncio
import re
from time import monotonic

import pytest
from playwright.async_api import Page, expect

from cafeteria.contracts.stock import Item
from cafeteria.contracts.subjects import SERVICES

STUDENTS = 10
PORTIONS = 8
"""Fewer than students: two of them are told that the dish is sold out."""
NAMED_WITHIN_S = 2.0
ENDS_WITHIN_MS = 60_000


async def order(page: Page, dish: Item) -> None:
    await page.get_by_role("button", name=f"Add {dish.name}").click()
    await page.get_by_role("button", name=re.compile("^Order now")).click()


async def until_ended(page: Page) -> None:
    """The page says how the order ended, whatever was away meanwhile."""
    ended = page.get_by_text(re.compile("Your food is at the counter|Sold out before your order"))
    await expect(ended.first).to_be_visible(timeout=ENDS_WITHIN_MS)


async def until_named(ops: Page, service: str) -> None:
    await expect(ops.locator(f"#service-{service}")).to_have_attribute(
        "data-kind", "down", timeout=NAMED_WITHIN_S * 1000
    )


@pytest.mark.parametrize("service", SERVICES)
async def test_a_killed_service_is_named_and_no_order_is_lost_or_doubled(
    site, open_page, open_named, service: str
) -> None:
    dish = await site.dish(PORTIONS)
    ops = await open_named("ops")
    pages = [await open_page("/", signed_in_as=site.student()) for _ in range(STUDENTS)]
    await expect(ops.locator(f"#service-{service}")).to_have_attribute("data-kind", "ready")
    ordering = [asyncio.create_task(order(page, dish)) for page in pages]
    await ordering[0]
    killed_at = monotonic()
    await site.processes.member(service).fall()
    await until_named(ops, service)
    assert monotonic() - killed_at < NAMED_WITHIN_S
    await asyncio.gather(*ordering)
    await site.processes.start(service)
    await asyncio.gather(*(until_ended(page) for page in pages))
    await site.until_promise_holds()
    assert [await has_food(page) for page in pages].count(True) == PORTIONS


async def has_food(page: Page) -> bool:
    return await page.get_by_text("Your food is at the counter").count() > 0
