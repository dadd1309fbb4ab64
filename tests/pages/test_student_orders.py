"""A student orders, and follows the order to the counter: one press is one order, whatever happens in between."""

import asyncio
import re
from typing import Any
from uuid import UUID

from playwright.async_api import BrowserContext, Page, Route, expect

from cafeteria.contracts.stock import Item
from cafeteria.testkit.plugin import until

ORDER_NOW = re.compile("^Order now")
AT_THE_COUNTER = "Your food is at the counter."
UNSURE = re.compile("We do not know yet whether your order arrived")
COOKED_MS = 30_000
HOLD_THE_TURN = """(student) => new Promise((held) => navigator.locks.request(`order/${student}`, () => {
    window.beats = new Promise((after) => setTimeout(after, 8000));
    held();
    return new Promise((letGo) => (window.letGo = letGo)); }))"""
"""Tabs tell each other every two seconds that they are alive, and one that is silent for six loses its turn to a waiting one."""


async def add(page: Page, dish: Item, quantity: int = 1) -> None:
    await page.get_by_role("button", name=f"Add {dish.name}", exact=True).click()
    for _ in range(quantity - 1):
        await page.locator(f"#menu-more-{dish.id}").click()


async def press(page: Page) -> None:
    await page.get_by_role("button", name=ORDER_NOW).click()


async def sign_in(page: Page, student_id: str, password: str) -> None:
    await page.get_by_label("Student ID").fill(student_id)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def until_placed(page: Page) -> None:
    await expect(page.locator("#tracker-title")).to_be_visible(timeout=COOKED_MS)


async def orders_of(context: BrowserContext, url: str) -> list[Any]:
    """All orders of who is signed in in this context, as the gateway has them."""
    answer = await context.request.get(f"{url}/v1/orders?limit=50")
    assert answer.ok
    return (await answer.json())["items"]


class Posts:
    """Holds the page's orders back, loses them or their answers, and remembers key and body of each."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.mode = "through"
        self.answer: dict[str, Any] = {}
        self.released = asyncio.Event()

    async def watch(self, target: Page | BrowserContext) -> "Posts":
        await target.route("**/v1/orders", self._handle)
        return self

    async def _handle(self, route: Route) -> None:
        request = route.request
        if request.method != "POST":
            await route.continue_()
            return
        self.sent.append((request.headers["idempotency-key"], request.post_data or ""))
        await getattr(self, f"_{self.mode}")(route)

    async def _through(self, route: Route) -> None:
        await route.continue_()

    async def _made_up(self, route: Route) -> None:
        await route.fulfill(**self.answer)

    async def _lose_request(self, route: Route) -> None:
        await route.abort()

    async def _lose_answer(self, route: Route) -> None:
        """The order arrives, and the student does not learn of it."""
        await route.fetch()
        await route.abort()

    async def _hold(self, route: Route) -> None:
        await self.released.wait()
        await route.continue_()


def refusal(status: int, code: str, *, retry_after_s: int | None = None, **members: Any) -> dict[str, Any]:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    problem = {"type": f"/problems/{code}", "title": code, "status": status, "detail": "", **members}
    return {"status": status, "headers": headers, "json": problem, "content_type": "application/problem+json"}


async def test_a_newcomer_signs_in_orders_and_follows_to_ready_and_collected(
    site, open_page, student_id: str, password: str
) -> None:
    dish = await site.dish(5, price="110.00")
    page = await open_page("/")
    await add(page, dish, 2)
    await expect(page.get_by_role("button", name="Order now · ৳220")).to_be_visible()
    await press(page)
    await sign_in(page, student_id, password)
    await until_placed(page)
    await expect(page.get_by_text(AT_THE_COUNTER)).to_be_visible(timeout=COOKED_MS)
    (order,) = await orders_of(page.context, site.url)
    (pickup,) = [each.pickup for each in await site.tickets("READY") if str(each.order_id) == order["id"]]
    number = f"{pickup.number:03}"
    await expect(page.locator(".ready-number")).to_have_text(number)
    await expect(page.locator(".ready-code")).to_have_text(pickup.code)
    assert await page.title() == f"Ready {number} · Canteen"
    await expect(page.locator(".stage.check")).to_have_count(3)
    await expect(page.locator(".stage-time")).to_have_count(4)
    await site.cook("collect", UUID(order["id"]))
    await expect(page.locator("#main")).to_contain_text("Enjoy your meal.")


async def test_two_presses_make_one_order(site, open_page, student_id: str) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    posts = await Posts().watch(page)
    posts.mode = "hold"
    await add(page, dish)
    await page.get_by_role("button", name=ORDER_NOW).dblclick()
    await until(lambda: posts.sent)
    await expect(page.locator("#order")).to_have_attribute("aria-disabled", "true")
    await page.locator("#order").click(force=True)
    posts.released.set()
    await until_placed(page)
    assert len(set(posts.sent)) == 1  # after five seconds without an answer the same is asked again
    assert len(await orders_of(page.context, site.url)) == 1


async def test_two_tabs_make_one_order_of_one_basket(site, open_page, student_id: str) -> None:
    dish = await site.dish(5)
    first = await open_page("/", signed_in_as=student_id)
    second = await first.context.new_page()
    await second.goto(site.url)
    await add(first, dish)
    await expect(second.locator("#order")).to_have_text("Order now · ৳3.50")
    await asyncio.gather(*(page.locator("#order").dispatch_event("click") for page in (first, second)))
    for page in (first, second):
        await expect(page.locator(".basket.is-empty")).to_be_attached()
    assert len(await orders_of(first.context, site.url)) == 1
    await expect(second.locator(".order-card, #tracker-title").filter(visible=True).first).to_be_visible()


async def test_a_press_waits_for_the_turn_that_another_tab_has(site, open_page, student_id: str) -> None:
    """However long that lasts: what was pressed is not forgotten, and does not pass the other tab."""
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    posts = await Posts().watch(page)
    other = await page.context.new_page()
    await other.goto(f"{site.url}/board")
    await other.evaluate(HOLD_THE_TURN, student_id)
    await page.bring_to_front()
    await add(page, dish)
    await press(page)
    await other.evaluate("() => window.beats")
    assert posts.sent == []
    await expect(page.locator("#order")).to_have_text("Sending your order…")
    await other.evaluate("() => window.letGo()")
    await until_placed(page)
    assert len(set(posts.sent)) == 1


async def until_ordered(context: BrowserContext, url: str) -> None:
    async def is_there() -> bool:
        return bool(await orders_of(context, url))

    await until(is_there)


async def test_an_order_that_the_first_tab_cannot_finish_is_finished_by_the_second(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(5)
    first = await open_page("/", signed_in_as=student_id)
    posts = await Posts().watch(first.context)
    posts.mode = "lose_request"
    second = await first.context.new_page()
    await second.goto(site.url)
    await add(first, dish)
    await press(first)
    await expect(second.locator("#order-notice")).to_contain_text(UNSURE)
    await first.close()
    posts.mode = "through"
    await until_ordered(second.context, site.url)
    assert len(set(posts.sent)) == 1


async def test_an_order_tapped_offline_is_sent_once_when_the_network_is_back(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    await expect(page.locator(".link-state")).to_contain_text("Live")  # all that is loaded later is there
    await add(page, dish)
    await page.context.set_offline(True)
    await press(page)
    await expect(page.locator("#order-notice")).to_contain_text("will be sent once, as soon as you are back")
    await page.context.set_offline(False)
    await until_placed(page)
    assert len(await orders_of(page.context, site.url)) == 1


async def test_an_order_tapped_offline_is_sent_once_after_the_page_is_loaded_again(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    posts = await Posts().watch(page)
    posts.mode = "lose_request"
    await add(page, dish)
    await press(page)
    await expect(page.locator("#order-notice")).to_contain_text(UNSURE)
    posts.mode = "through"
    await page.reload()
    await until_placed(page)
    assert len(set(posts.sent)) == 1
    assert len(await orders_of(page.context, site.url)) == 1


async def test_a_reload_between_press_and_answer_ends_in_the_same_order(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    posts = await Posts().watch(page)
    posts.mode = "lose_answer"
    await add(page, dish)
    await press(page)
    await until_ordered(page.context, site.url)
    posts.mode = "through"
    await page.reload()
    await until_placed(page)
    assert len(set(posts.sent)) == 1
    assert len(await orders_of(page.context, site.url)) == 1


async def test_too_busy_counts_down_and_tries_again_under_the_same_key(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    posts = await Posts().watch(page)
    posts.mode, posts.answer = "made_up", refusal(503, "overloaded", retry_after_s=2)
    await add(page, dish)
    await press(page)
    notice = page.locator("#order-notice")
    await expect(notice).to_contain_text(re.compile(r"Nothing was ordered yet.*trying again in \d s"))
    await until(lambda: len(posts.sent) >= 2)
    posts.mode = "through"
    await until_placed(page)
    assert len(set(posts.sent)) == 1


async def test_a_basket_that_is_changed_after_too_busy_gets_another_key(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    posts = await Posts().watch(page)
    posts.mode, posts.answer = "made_up", refusal(503, "overloaded", retry_after_s=60)
    await add(page, dish)
    await press(page)
    await page.get_by_role("button", name="Change basket").click()
    await page.locator(f"#menu-more-{dish.id}").click()
    posts.mode = "through"
    await press(page)
    await until_placed(page)
    assert len({key for key, _ in posts.sent}) == 2
    (order,) = await orders_of(page.context, site.url)
    assert order["lines"][0]["quantity"] == 2


async def test_the_limit_of_one_student_is_named_and_the_basket_kept(
    site, open_page, student_id: str
) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    posts = await Posts().watch(page)
    posts.mode, posts.answer = "made_up", refusal(429, "limit-reached", retry_after_s=300)
    await add(page, dish)
    await press(page)
    await expect(page.locator("#order-notice")).to_contain_text(
        re.compile("as many open orders as one person may have.* min")
    )
    posts.answer = refusal(429, "limit-reached", retry_after_s=300, item_ids=[str(dish.id)])
    await page.get_by_role("button", name="Try now").click()
    await expect(page.locator("#order-notice")).to_contain_text(f"more {dish.name} than one person may order")


async def test_a_fault_of_the_page_names_its_code_and_starts_over(site, open_page, student_id: str) -> None:
    dish = await site.dish(5)
    page = await open_page("/", signed_in_as=student_id)
    posts = await Posts().watch(page)
    posts.mode, posts.answer = "made_up", refusal(400, "invalid-request", request_id="abc123")
    await add(page, dish)
    await press(page)
    await expect(page.locator("#order-notice")).to_contain_text("Your order was not changed. Code abc123.")
    posts.mode = "through"
    await page.get_by_role("button", name="Start over").click()
    await press(page)
    await until_placed(page)
    assert len({key for key, _ in posts.sent}) == 2
