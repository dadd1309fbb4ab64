"""The modules of the pages, without a page: every check of `units/*.js` runs in a browser and is a test here."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Route

FOLDER = Path(__file__).with_name("units")
LIBRARY = FOLDER / "check.js"
VECTORS = Path(__file__).parents[2] / "packages/shared-contracts/examples/kitchen/vectors/eta.json"
CHECK = re.compile(r'^check\(("(?:[^"\\]|\\.)+")', re.MULTILINE)
EMPTY_PAGE = "<!doctype html><html lang=en><title>Units</title></html>"
RUN = """async (unit) => {
    const {results} = await import("/units/check.js");
    await import(`/units/${unit}.js`);
    return results();
}"""

UNITS = sorted(path.stem for path in FOLDER.glob("*.js") if path != LIBRARY)


def names_in(unit: str) -> list[str]:
    return [json.loads(name) for name in CHECK.findall((FOLDER / f"{unit}.js").read_text(encoding="utf-8"))]


def cases() -> Iterator[Any]:
    for unit in UNITS:
        for name in names_in(unit):
            yield pytest.param(unit, name, id=f"{unit}: {name}")


async def serve(route: Route) -> None:
    """Answer from the folder of units, within the site's origin; the folder itself is an empty page."""
    name = route.request.url.partition("/units/")[2]
    if name == VECTORS.name:
        await route.fulfill(path=VECTORS, content_type="application/json")
    elif name:
        await route.fulfill(path=FOLDER / name, content_type="text/javascript")
    else:
        await route.fulfill(body=EMPTY_PAGE, content_type="text/html")


@pytest.fixture(scope="module")
async def context(browser, site) -> AsyncIterator[BrowserContext]:
    async with await browser.new_context() as context:
        await context.route("**/units/**", serve)
        yield context


@pytest.fixture(scope="module")
def results_of(context, site) -> Any:
    """Return the outcomes of a unit by the names of its checks; each unit runs once, in a page of its own."""
    known: dict[str, dict[str, str | None]] = {}

    async def results_of(unit: str) -> dict[str, str | None]:
        if unit not in known:
            page = await context.new_page()
            await page.goto(f"{site.url}/units/")
            known[unit] = dict(await page.evaluate(RUN, unit))
            await page.close()
        return known[unit]

    return results_of


@pytest.mark.parametrize(("unit", "name"), list(cases()))
async def test_unit(results_of, unit: str, name: str) -> None:
    error = (await results_of(unit))[name]
    assert error is None, error


@pytest.mark.parametrize("unit", UNITS)
async def test_every_check_of_a_unit_is_a_test(results_of, unit: str) -> None:
    """A check whose name is not a plain string at the start of a line would be left out above."""
    assert list(await results_of(unit)) == names_in(unit)
