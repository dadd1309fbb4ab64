"""The operator follows one order over all services, by its id, its student or its number."""

import json
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Page, expect

WIDE = (1280, 800)
HOST = "localhost"


@pytest.fixture
def open_order(open_page) -> Any:
    """Open the search for orders, or one order, as the operator."""

    def open_order(order_id: UUID | None = None, **options: Any) -> Any:
        section = f"order/{order_id}" if order_id else "order"
        chosen = {"signed_in_as": "operator-1", "host": HOST, "viewport": WIDE, **options}
        return open_page(f"/ops#{section}", **chosen)

    return open_order


async def find(page: Page, typed: str) -> None:
    await page.get_by_label("Order id, student id or number").fill(typed)
    await page.get_by_role("button", name="Find", exact=True).click()


def facts(page: Page) -> Any:
    return page.get_by_role("list", name="What happened, by time").get_by_role("listitem")


async def test_a_student_id_leads_to_an_order_and_all_that_the_services_know_of_it(
    open_order, site, student_id: str
) -> None:
    dish = await site.dish(5)
    order = await site.order(student_id, dish.id, 2)
    await site.until_status(order.id, "READY")
    page = await open_order()
    await find(page, "two words")
    await expect(page.get_by_text("This is no order id")).to_be_visible()
    await find(page, student_id)
    await page.get_by_role("link", name=re.compile(re.escape(dish.name))).click()
    await expect(page.get_by_role("heading", name=f"Order {order.id}")).to_be_focused()
    for sentence in (
        f"Received from {student_id}: 1 dish.",
        f"Took 2 portions of {dish.name}.",
        "A cook began.",
        "The meal is ready.",
        "Logged READY for the student.",
    ):
        await expect(facts(page).filter(has_text=sentence)).to_have_count(1)
    texts = await facts(page).all_inner_texts()
    times = [match[0] for text in texts if (match := re.match(r"\d\d:\d\d:\d\d\.\d{3}", text))]
    assert times == sorted(times)
    await expect(facts(page).last).to_contain_text(
        re.compile(r"Waits to be collected since \d\d:\d\d:\d\d: \d+ s\.")
    )
    await page.get_by_role("link", name="Find another order").click()
    await expect(page.get_by_label("Order id, student id or number")).to_have_value(student_id)


async def test_a_service_that_is_away_is_named_and_an_unknown_order_is_said_to_be_unknown(
    open_order, site, page_faults, student_id: str
) -> None:
    dish = await site.dish(5)
    order = await site.order(student_id, dish.id)
    page_faults.allow(r"503|Failed to load resource")
    page = await open_order()
    await page.route(
        "**/v1/ops/kitchen/orders/*",
        lambda route: route.fulfill(status=503, body="{}", content_type="application/problem+json"),
    )
    await find(page, str(order.id).upper())
    await expect(page.get_by_text("kitchen does not answer: what it knows is missing here.")).to_be_visible()
    await expect(facts(page).filter(has_text="Accepted: stock has taken the portions.")).to_have_count(1)
    await page.unroute("**/v1/ops/kitchen/orders/*")
    await page.get_by_role("button", name="Read again").click()
    await expect(facts(page).filter(has_text="The ticket arrived.")).to_have_count(1)
    unknown = uuid4()
    await page.evaluate("id => { location.hash = `#order/${id}`; }", str(unknown))
    await expect(page.get_by_role("heading", name=f"Order {unknown}")).to_be_focused()
    await expect(page.get_by_text("No service knows this order.")).to_be_visible()


async def test_a_number_leads_to_the_order_of_its_ticket_and_to_a_student_without_one(
    open_order, site, student_id: str
) -> None:
    dish = await site.dish(5)
    order = await site.order(student_id, dish.id)
    asked: list[str] = []

    async def tickets(route: Any) -> None:
        asked.append(route.request.url.partition("?")[2])
        found = [{"order_id": str(order.id)}] if "number" in asked[-1] else []
        await route.fulfill(
            body=json.dumps({"items": found, "next_cursor": None}), content_type="application/json"
        )

    page = await open_order()
    await page.route("**/v1/tickets?*", tickets)
    await find(page, "k7f2")
    await expect(page.locator("main").get_by_text("No order fits this.")).to_be_visible()
    await find(page, "417")
    await expect(page.get_by_role("heading", name=f"Order {order.id}")).to_be_visible()
    assert asked == ["code=K7F2", "number=417"]
