"""What holds for every page: its policy, keyboard, narrow screens, motion, forced colours."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

pytestmark = pytest.mark.parametrize("name", ["student", "kitchen", "board", "ops"])

MOST_SHIFT = 0.02
NARROW = (320, 480)
ANSWER_S = 0.3  # of the API, so that each page shows what it shows while it waits
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
}

HEAD = """() => ({
    lang: document.documentElement.lang, title: document.title,
    description: document.querySelector("meta[name=description]")?.content ?? "",
    viewport: document.querySelector("meta[name=viewport]")?.content ?? "",
    headings: document.querySelectorAll("h1").length,
    regions: ["main", "polite", "urgent"].every((id) => document.getElementById(id)),
})"""
SHIFT = """() => new Promise((resolve) => {
    let sum = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((each) => { sum += each.hadRecentInput ? 0 : each.value; }))
        .observe({type: "layout-shift", buffered: true});
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(sum))));
})"""
BREACHES = """async () => {
    const tried = {};
    try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); tried.html = "done"; } catch (error) { tried.html = error.name; }
    await new Promise((resolve) => setTimeout(() => { // a driver's own call may do what the page may not
        try { new Function("return 1")(); tried.code = "done"; } catch (error) { tried.code = error.name; }
        resolve();
    }));
    try { await fetch("http://127.0.0.1:9/"); tried.fetch = "done"; } catch (error) { tried.fetch = error.name; }
    return tried;
}"""
WIDER_THAN_THE_SCREEN = """() => {
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    if (wide <= 0) return [];
    return [`${wide} px`, ...[...document.querySelectorAll("body *")]
        .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
        .map((each) => `${each.tagName}.${each.getAttribute("class")}: ${each.textContent.trim().slice(0, 40)}`).slice(0, 5)];
}"""
MOVING = """() => [...document.querySelectorAll("*")].filter((each) => {
    const style = getComputedStyle(each);
    const seconds = (text) => Math.max(...text.split(",").map((part) => parseFloat(part) * (part.trim().endsWith("ms") ? 0.001 : 1)));
    return (style.animationName !== "none" && seconds(style.animationDuration) > 0.001) || seconds(style.transitionDuration) > 0.001;
}).map((each) => `${each.tagName}.${each.getAttribute("class")}`)"""
WITHOUT_A_BORDER = """() => [...document.querySelectorAll("button, input, select, [role=switch]")]
    .filter((each) => each.checkVisibility() && each.type !== "hidden" && !each.closest(".visually-hidden"))
    .filter((each) => { const style = getComputedStyle(each); return style.borderTopStyle === "none" || parseFloat(style.borderTopWidth) < 1; })
    .map((each) => `${each.tagName}.${each.getAttribute("class")}: ${each.textContent.trim().slice(0, 30)}`)"""
REACHABLE = """() => {
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")];
    const reachable = all.filter((each) => each.tabIndex >= 0 && !each.disabled && each.checkVisibility({visibilityProperty: true}));
    reachable.forEach((each, index) => { each.dataset.reach = index; });
    return reachable.map((each) => `${each.tagName} ${(each.getAttribute("aria-label") ?? each.textContent).trim().slice(0, 40)}`);
}"""
FOCUSED = """() => {
    const each = document.activeElement;
    if (!each || each === document.body) return null;
    const style = getComputedStyle(each);
    return {index: each.dataset.reach ?? null, isShown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        what: `${each.tagName} ${each.textContent.trim().slice(0, 40)}`};
}"""


@pytest.fixture
def open_ready(open_named, name: str) -> Any:
    """Open the page as who it is for, and wait until it shows what it is for."""

    async def open_ready(**options: Any) -> Page:
        page = await open_named(name, **options)
        await expect(page.locator("main")).to_contain_text(CONTENT[name])
        return page

    return open_ready


@pytest.fixture
def slow_api() -> Any:
    """`open_page(before=slow_api)`: the API answers late, so that the page shows what it shows while it waits."""

    async def answer_late(route: Route) -> None:
        await asyncio.sleep(ANSWER_S)
        await route.continue_()

    async def slow_api(page: Page) -> None:
        await page.route("**/v1/**", answer_late)

    return slow_api


CONTENT = {
    "student": re.compile("Beef Haleem"),
    "kitchen": re.compile("cooks by itself"),
    "board": re.compile("COOKING"),
    "ops": re.compile("gateway"),
}
"""What each shows once its first answers are there."""


async def test_the_head_says_what_it_is(open_ready, name: str) -> None:
    head = await (await open_ready()).evaluate(HEAD)
    assert head["lang"] == "en"
    assert "Canteen" in head["title"]
    assert len(head["description"]) > 20
    assert "width=device-width" in head["viewport"]
    assert "maximum-scale" not in head["viewport"]
    assert "user-scalable" not in head["viewport"]
    assert (head["headings"], head["regions"]) == (1, True)


async def test_nothing_moves_when_the_answers_arrive(open_ready, name: str, slow_api) -> None:
    page = await open_ready(before=slow_api)
    assert await page.evaluate(SHIFT) <= MOST_SHIFT


async def test_the_policy_is_in_force(open_ready, page_faults, name: str) -> None:
    page = await open_ready()
    answer = await page.reload()
    assert answer is not None
    policy = {each.strip() for each in answer.headers["content-security-policy"].split(";")}
    assert policy >= POLICY
    page_faults.allow(r"Content Security Policy|Trusted(HTML|Script| Type)|127\.0\.0\.1:9")
    assert await page.evaluate(BREACHES) == {"html": "TypeError", "code": "EvalError", "fetch": "TypeError"}


async def test_320_px_need_no_sideways_scrolling(open_ready, name: str) -> None:
    page = await open_ready(viewport=NARROW)
    assert await page.evaluate(WIDER_THAN_THE_SCREEN) == []


async def test_text_of_double_size_needs_no_sideways_scrolling(open_ready, name: str) -> None:
    """As a browser zooms to 200 % on a phone of 640 px, or a person sets larger letters."""
    page = await open_ready(viewport=(640, 800))
    await page.evaluate("() => { document.documentElement.style.setProperty('font-size', '200%'); }")
    assert await page.evaluate(WIDER_THAN_THE_SCREEN) == []


async def test_nothing_moves_for_who_wants_no_motion(open_ready, name: str) -> None:
    page = await open_ready(reduced_motion="reduce")
    assert await page.evaluate(MOVING) == []


async def test_with_forced_colours_every_control_has_a_border(open_ready, name: str) -> None:
    page = await open_ready(forced_colors="active")
    assert await page.evaluate(WITHOUT_A_BORDER) == []


async def test_every_control_is_reached_by_tab_and_shows_the_focus(open_ready, name: str) -> None:
    page = await open_ready(viewport=(1280, 800))
    reachable = await page.evaluate(REACHABLE)
    reached: set[int] = set()
    for _ in range(len(reachable) + 2):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(FOCUSED)
        if focused is None:
            break
        assert focused["isShown"], focused
        reached |= {int(focused["index"])} if focused["index"] is not None else set()
    assert [each for index, each in enumerate(reachable) if index not in reached] == []
