"""Code and documents use the words of docs/glossary.md: none of the names that earlier versions had for them.

A word counts in any letter case, also as a part of a snake_case name; with a capital letter it is a class's name, and
counts as it is written. The texts of the pages are not searched, nor what is published or recorded: the glossary's own
footnote, the changelog's list of renamed things, evidence and golden examples.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

STEP_CODES = ("G1", "S1", "S2", "G2", "K1", "K2", "N1", "P1", *(f"loop {number}" for number in range(1, 6)))
BANNED = (
    "AskKnown",
    "KnownAnswered",
    "anew",
    "arena",
    "at the door",
    "beds",
    "bus_api",
    "came by",
    "class Campus",
    "class Cancelling",
    "class Confirmation",
    "class Pressing",
    "come by",
    "deeds",
    "doors",
    "goodbye",
    "lay the table",
    "lent",
    "mend",
    "mended",
    "mending",
    "mends",
    "news",
    "parting",
    "slate",
    "taker",
    "theatre",
    "tongue",
    "troubles",
    "weather",
    "whoever",
    "wreck",
)
MOST_WORDS = 40
SEARCHED = {".py", ".md", ".toml", ".yaml"}
NOT_SEARCHED = ("CHANGELOG.md", "docs/evidence", "docs/glossary.md", "packages/shared-contracts/examples")


def pattern_of(word: str) -> re.Pattern[str]:
    """The word between characters that are neither letters nor digits; its spaces match line breaks and underscores."""
    words = word.replace(" ", r"[\s_]+")
    letter_case = re.IGNORECASE if word.islower() else re.NOFLAG
    return re.compile(rf"(?<![A-Za-z0-9]){words}(?![A-Za-z0-9])", letter_case)


def first_part(word: str) -> str:
    """Cheap to look for: most files have none of them."""
    return word.lower().partition(" ")[0]


def is_searched(path: Path, root: Path) -> bool:
    name = path.relative_to(root).as_posix()
    is_text = path.suffix in SEARCHED or path.name == "justfile"
    return is_text and path != Path(__file__) and not name.startswith(NOT_SEARCHED)


@pytest.fixture(scope="module")
def places(root: Path, project_files: list[Path]) -> dict[str, list[str]]:
    """Each banned word that is still used, and where: `path:line`."""
    found: dict[str, list[str]] = defaultdict(list)
    patterns = {word: pattern_of(word) for word in (*STEP_CODES, *BANNED)}
    for path in project_files:
        if not is_searched(path, root):
            continue
        text = path.read_text(encoding="utf-8")
        lowered = text.lower()
        line_ends = [end.start() for end in re.finditer("\n", text)]
        for word, pattern in patterns.items():
            if first_part(word) not in lowered:
                continue
            for match in pattern.finditer(text):
                line = bisect_right(line_ends, match.start()) + 1
                found[word].append(f"{path.relative_to(root)}:{line}")
    return dict(found)


def no_place_has(word: str, places: dict[str, list[str]]) -> None:
    if word in places:
        pytest.fail("\n".join([f"{word}:", *places[word]]), pytrace=False)


@pytest.mark.parametrize("code", STEP_CODES)
def test_no_step_of_the_protocol_has_a_code_for_a_name(code: str, places: dict[str, list[str]]) -> None:
    no_place_has(code, places)


@pytest.mark.parametrize("word", BANNED)
def test_no_file_uses_a_word_that_has_been_replaced(word: str, places: dict[str, list[str]]) -> None:
    no_place_has(word, places)


def test_the_list_of_banned_words_is_short() -> None:
    assert len(BANNED) <= MOST_WORDS


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("anew", "It is read Anew."),
        ("news", "def news_of(order):"),
        ("loop 3", "see loop\n3"),
        ("lay the table", "_lay_the_table()"),
        ("class Campus", "class Campus:"),
    ],
)
def test_a_banned_word_is_found_in_prose_and_in_names(word: str, text: str) -> None:
    assert pattern_of(word).search(text)


@pytest.mark.parametrize(
    ("word", "text"),
    [("lent", "equivalent"), ("news", "newspaper"), ("G1", "PG14, g1"), ("bus_api", "the bus API")],
)
def test_a_longer_word_or_an_ordinary_one_is_not_found(word: str, text: str) -> None:
    assert not pattern_of(word).search(text)
