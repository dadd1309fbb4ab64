"""The files of the pages: small enough for a phone, complete, and nothing in them that the headers forbid."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest

from cafeteria.web.assets import CSP, HEADERS, PAGES, SITE, files
from cafeteria.web.sources import closure, html_of, module, page_links, preloads

ROOT = Path(__file__).parents[4]
KIB = 1024
MOST_KIB = {"index.html": 60, "kitchen.html": 60, "ops.html": 60, "board.html": 30}
"""Of the first sight, compressed: what is there before anybody presses anything."""

MOST_KIB_IN_ALL = {"index.html": 70, "kitchen.html": 80, "ops.html": 80, "board.html": 40}
"""Of the way from the first sight to a meal that was fetched."""

BESIDE_THE_WAY = {"js/account_model.js", "js/account_view.js"}
"""Loaded when somebody opens the panel of their account."""

MOST_FILES = {"index.html": 20, "kitchen.html": 40, "ops.html": 40, "board.html": 20}
"""Students come all at once and over slow networks; the screens of staff are opened once a day, near the server."""

MOST_LINES = 350
MOST_LINES_OF_A_FUNCTION = 40
SHA256SUMS = SITE / "vendor/SHA256SUMS"

FILES = files()
OWN_FILES = [path for path in FILES if not path.startswith("vendor/")]
SCRIPTS = [path for path in OWN_FILES if path.endswith(".js")]

pages = pytest.mark.parametrize("page", PAGES)


def text_of(path: str) -> str:
    return (SITE / path).read_text(encoding="utf-8")


def weight(path: str) -> int:
    return len(gzip.compress((SITE / path).read_bytes(), compresslevel=9))


@pages
def test_the_first_sight_of_a_page_is_light(page: str) -> None:
    weights = {path: weight(path) for path in closure(page, is_whole=False)}
    assert sum(weights.values()) <= MOST_KIB[page] * KIB, sorted(weights.items(), key=lambda each: -each[1])


@pages
def test_a_page_with_all_that_it_loads_later_is_light(page: str) -> None:
    weights = {path: weight(path) for path in closure(page) - BESIDE_THE_WAY}
    assert sum(weights.values()) <= MOST_KIB_IN_ALL[page] * KIB, sorted(
        weights.items(), key=lambda each: -each[1]
    )


@pages
def test_the_first_sight_of_a_page_needs_few_requests(page: str) -> None:
    loaded = closure(page, is_whole=False)
    assert len(loaded) <= MOST_FILES[page], sorted(loaded)


@pages
def test_a_page_names_all_modules_of_its_first_sight(page: str) -> None:
    """They are asked for at once then; else each one that imports others costs one more way to the server and back."""
    entries = {source for relation, source in html_of(page).loads if relation == "script"}
    modules = {path for path in closure(page, is_whole=False) if path.endswith(".js")} - entries
    missing = [f'<link rel="modulepreload" href="{path}" />' for path in sorted(modules - preloads(page))]
    assert missing == []
    assert preloads(page) - modules == set(), "preloaded, and not needed at first sight"


@pages
def test_a_page_loads_files_that_are_there(page: str) -> None:
    assert closure(page) - set(FILES) == set()


def test_every_file_is_loaded_by_a_page() -> None:
    loaded = frozenset[str]().union(*(closure(page) for page in PAGES))
    beside = {path for path in FILES if path.startswith("vendor/") and not path.endswith(".js")}
    languages = {path for path in FILES if path.startswith("words/") and not path.startswith("words/en/")}
    assert set(FILES) - loaded - beside - languages == set()


def test_imports_are_relative_and_stay_inside_the_site() -> None:
    """No bare names and no other origin, so a browser needs no map and no bundler."""
    imported = {script: module(script).imports | module(script).lazy_imports for script in SCRIPTS}
    missing = {script: sorted(paths - set(FILES)) for script, paths in imported.items()}
    assert {script: paths for script, paths in missing.items() if paths} == {}


@pages
def test_everything_comes_from_the_own_origin(page: str) -> None:
    """Relative addresses hold behind any name, and below a folder too."""
    assert [address for address in page_links(page) if re.match(r"[a-z]+:|/", address)] == []


@pages
def test_no_html_has_a_script_style_or_handler_inside(page: str) -> None:
    for tag, attributes in html_of(page).tags:
        assert tag != "style"
        assert tag != "script" or attributes.get("src"), "a script without src is inline"
        assert [name for name in attributes if name.startswith("on") or name == "style"] == []


@pages
def test_every_page_has_what_screen_readers_and_phones_need(page: str) -> None:
    tags = html_of(page).tags
    by_id = {attributes["id"]: (tag, attributes) for tag, attributes in tags if "id" in attributes}
    assert tags[0] == ("html", {"lang": "en", **{k: v for k, v in tags[0][1].items() if k != "lang"}})
    assert by_id["main"][0] == "main"
    assert by_id["header"][0] == "header"
    assert by_id["polite"][1]["role"] == "status"
    assert by_id["urgent"][1]["role"] == "alert"
    assert ("noscript", {}) in tags
    metas = {attributes.get("name") for tag, attributes in tags if tag == "meta"}
    assert {"viewport", "description"} <= metas
    assert any(attributes.get("href") == "#main" for tag, attributes in tags if tag == "a"), "no skip link"


@pages
def test_every_page_has_its_colours_and_the_shared_look(page: str) -> None:
    sheets = [address for relation, address in html_of(page).loads if relation == "stylesheet"]
    assert sheets[:2] == ["css/tokens.css", "css/base.css"]


def test_a_colour_is_written_in_the_tokens_alone() -> None:
    sheets = [path for path in OWN_FILES if path.endswith(".css") and path != "css/tokens.css"]
    colours = {sheet: re.findall(r":[^;{}]*#[0-9a-fA-F]{3,8}\b", rules_of(sheet)) for sheet in sheets}
    assert {sheet: found for sheet, found in colours.items() if found} == {}


def test_a_stylesheet_loads_nothing_else() -> None:
    """Each would be one more way to the server and back."""
    sheets = [path for path in OWN_FILES if path.endswith(".css")]
    assert [sheet for sheet in sheets if re.search(r"@import|url\((?!data:)", rules_of(sheet))] == []


def rules_of(sheet: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text_of(sheet), flags=re.DOTALL)


def test_the_vendored_files_are_those_that_were_looked_at() -> None:
    sums = (line.split() for line in SHA256SUMS.read_text().splitlines())
    listed = {path: expected for expected, path in sums}
    there = {path.removeprefix("vendor/") for path in FILES if path.startswith("vendor/")} - {"SHA256SUMS"}
    assert set(listed) == there
    for path, expected in listed.items():
        assert hashlib.sha256((SITE / "vendor" / path).read_bytes()).hexdigest() == expected, path


def test_no_file_asks_for_a_source_map() -> None:
    """It is not there, so a browser's tools would report 404 for each."""
    assert [path for path in FILES if "sourceMappingURL" in text_of(path)] == []


def test_files_are_short() -> None:
    lines = {path: text_of(path).count("\n") for path in OWN_FILES}
    assert {path: number for path, number in lines.items() if number > MOST_LINES} == {}


def test_functions_are_short() -> None:
    functions = [function for script in SCRIPTS for function in module(script).functions()]
    assert [(place, lines) for place, lines in functions if lines > MOST_LINES_OF_A_FUNCTION] == []


FORBIDDEN = {
    "makes markup or code of text": r"\.innerHTML|\.outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|unsafeHTML|unsafeSVG",
    "keeps something elsewhere than in store.js": r"localStorage|sessionStorage|caches\.open",
    "handles a token": r"access_token|refresh_token|Authorization",
}


@pytest.mark.parametrize("pattern", FORBIDDEN.values(), ids=FORBIDDEN)
def test_no_script(pattern: str) -> None:
    """What the headers forbid would fail in the browser alone; the rest they do not know."""
    found = {script: re.findall(pattern, text_of(script)) for script in SCRIPTS}
    assert {script: words for script, words in found.items() if words} == {}


def test_the_edge_sends_the_headers_of_the_pages() -> None:
    """A header of the pages stands in the edge's configuration word for word."""
    caddyfile = (ROOT / "deploy/edge/Caddyfile").read_text(encoding="utf-8")
    pages_part = caddyfile.partition("(pages) {")[2].partition("\n}\n")[0]
    for name, value in HEADERS.items():
        assert re.search(rf'^\s*{name} "?{re.escape(value)}"?$', pages_part, flags=re.MULTILINE), name


def test_the_policy_lets_in_nothing_inline_and_nobody_else() -> None:
    assert CSP.startswith("default-src 'none'; ")
    assert re.findall(r"unsafe|https?:|\*|nonce|sha256", CSP) == []


def test_every_token_and_every_sign_is_used() -> None:
    """What nobody uses is loaded by everybody."""
    texts = {path: text_of(path) for path in OWN_FILES if path.endswith((".css", ".js"))}
    tokens = re.findall(r"^\s+(--[\w-]+):", texts["css/tokens.css"], flags=re.MULTILINE)
    assert [
        token for token in set(tokens) if not any(f"var({token})" in text for text in texts.values())
    ] == []

    signs = re.findall(r"^  (\w+):", texts["js/ui.js"].partition("const PATHS = {")[2], flags=re.MULTILINE)
    literals = {text for script in SCRIPTS for text in module(script).strings()}
    assert set(signs) - literals == set()
