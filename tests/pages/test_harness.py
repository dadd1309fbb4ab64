"""The harness itself: a fault of a page fails its test, and what browsers order is recorded."""

import pytest
from playwright.async_api import Page

from cafeteria.testkit.page_faults import PageFaults
from cafeteria.testkit.plugin import until

ORDER = """({item, key}) => fetch("/v1/orders", {method: "POST", body: JSON.stringify({lines: [{item_id: item, quantity: 1}]}),
    headers: {"Content-Type": "application/json", "Idempotency-Key": key}}).then(async (answer) => { await answer.text(); return answer.status; })"""
ADD_INLINE_SCRIPT = """() => { const script = document.createElement("script");
    try { script.textContent = "window.ran = true"; } catch { return; } document.body.append(script); }"""


@pytest.fixture
async def faulty(open_page, site, page_faults: PageFaults) -> tuple[Page, PageFaults]:
    """A page whose faults are collected apart, so that the test does not fail for them."""
    page = await open_page("/")
    found = PageFaults(is_own=site.is_own)
    found.watch(page.context)
    page_faults.allow(".")
    return page, found


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("() => { console.error('broken'); }", "console error: broken"),
        ("() => { console.warn('odd'); }", "console warning: odd"),
        ("() => { setTimeout(() => { throw new Error('lost'); }); }", "lost"),
        ("() => { fetch('/absent.js'); }", "not found: GET"),
        ("() => { fetch('/v1/absent'); }", "not found: GET"),
        ("() => { fetch('http://127.0.0.1:9/').catch(() => {}); }", "Content Security Policy"),
        (ADD_INLINE_SCRIPT, "TrustedScript"),
    ],
)
async def test_a_fault_is_found(faulty: tuple[Page, PageFaults], fault: str, sentence: str) -> None:
    page, found = faulty
    await page.evaluate(fault)
    await until(lambda: any(sentence in each for each in found.sentences))


async def test_a_refused_request_is_no_fault(open_page, page_faults: PageFaults) -> None:
    """The page tells its user; the browser's own line in the console says nothing more."""
    page = await open_page("/")
    status = await page.evaluate("() => fetch('/v1/me').then((answer) => answer.status)")
    assert status == 401
    assert page_faults.sentences == []


async def test_what_a_browser_orders_is_in_the_history(site, open_page, student_id: str) -> None:
    item = await site.dish(3)
    page = await open_page("/", signed_in_as=student_id)
    assert await page.evaluate(ORDER, {"item": str(item.id), "key": "by-hand"}) == 201
    await site.browser_orders.record_all()
    (exchange,) = [each for each in site.history.orders() if each.student_id == student_id]
    assert (exchange.status, exchange.key, exchange.shown().status) == (201, "by-hand", "STOCK_VERIFIED")
    await site.until_status(exchange.shown_id, "READY")


async def test_an_answer_that_a_test_makes_up_is_not_in_the_history(site, open_page, student_id: str) -> None:
    page = await open_page("/", signed_in_as=student_id)
    await page.route("**/v1/orders", lambda route: route.fulfill(status=201, body="{}"))
    assert await page.evaluate(ORDER, {"item": "none", "key": "made-up"}) == 201
    await site.browser_orders.record_all()
    assert [each for each in site.history.orders() if each.student_id == student_id] == []
