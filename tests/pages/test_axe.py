"""axe-core finds nothing on any page, section and state, in light and dark: the rules of WCAG 2.2 AA and its best practices."""

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.async_api import Page, expect

from cafeteria.testkit.plugin import until

SECTIONS = {
    "student": ("menu", "orders", "help"),
    "kitchen": ("line", "counter"),
    "board": ("",),
    "ops": ("now", "stock", "people", "order", "demo"),
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
UNMOVING = {"reduced_motion": "reduce"}  # axe measures contrast: nothing may be half faded in

both_schemes = pytest.mark.parametrize("scheme", ["light", "dark"])
every_page = pytest.mark.parametrize("name", SECTIONS)


async def findings(page: Page) -> list[str]:
    """A line for each element that breaks a rule."""
    results = await Axe().run(page, options=RULES)
    return [
        f"{broken['id']}: {node['target']} {node.get('failureSummary', '')}"
        for broken in results.response["violations"]
        for node in broken["nodes"]
    ]


async def assert_finds_nothing(page: Page, what: str) -> None:
    found = await findings(page)
    assert found == [], f"{what}\n" + "\n".join(found)


async def is_shown(page: Page) -> None:
    await expect(page.locator("main")).to_contain_text(r"")
    await until(lambda: page.locator("main").inner_text())


@both_schemes
@every_page
async def test_axe_finds_nothing_in_the_sections(open_named, name: str, scheme: str) -> None:
    page = await open_named(name, scheme=scheme, **UNMOVING)
    for section in SECTIONS[name]:
        await page.evaluate("(section) => { location.hash = section; }", section)
        await is_shown(page)
        await assert_finds_nothing(page, section)


@both_schemes
@every_page
async def test_axe_finds_nothing_when_nobody_is_signed_in(open_named, name: str, scheme: str) -> None:
    page = await open_named(name, signed_in_as=None, scheme=scheme, **UNMOVING)
    await is_shown(page)
    await assert_finds_nothing(page, "signed out")


@both_schemes
@every_page
async def test_axe_finds_nothing_when_no_service_answers(open_named, name: str, scheme: str) -> None:
    """And nothing is lost of what the page showed before."""
    page = await open_named(name, scheme=scheme, **UNMOVING)
    await is_shown(page)
    await page.route("**/v1/**", lambda route: route.abort())
    await page.reload()
    await is_shown(page)
    await assert_finds_nothing(page, "no answers")


async def test_axe_sees_what_is_wrong(open_named) -> None:
    """A picture without a text, put in on purpose."""
    page: Any = await open_named("student")
    await page.evaluate("() => { document.querySelector('main').append(document.createElement('img')); }")
    assert any(each.startswith("image-alt") for each in await findings(page))
