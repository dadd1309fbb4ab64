"""docs/glossary.md names each step of the protocol once, with files that exist, and explains no word twice."""

import re
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

STEPS = ["receive", "reserve", "settle", "relay", "enqueue", "cook", "record", "project"]
JOBS = ["retry pending", "reconcile delivery", "release cancelled", "purge"]


@pytest.fixture(scope="module")
def rows(root: Path) -> list[list[str]]:
    """The cells of all tables, without headers and lines of dashes."""
    text = (root / "docs/glossary.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for table in tables
        for line in table.splitlines()[2:]
    ]


def test_every_step_and_job_is_there_in_order(rows: list[list[str]]) -> None:
    assert [row[0].strip("| ") for row in rows if len(row) == len(("name", "what", "file"))] == STEPS + JOBS


def test_no_word_is_explained_twice(rows: list[list[str]]) -> None:
    words = Counter(word for row in rows for word in row[0].strip("| ").split(", "))
    assert [word for word, times in words.items() if times > 1] == []


def test_the_files_of_the_steps_exist(root: Path, rows: list[list[str]]) -> None:
    names = [name for row in rows for name in re.findall(r"`(\w+/[\w/*]+\.py)`", row[-1])]
    assert [name for name in names if not list(root.glob(f"packages/*/src/cafeteria/**/{name}"))] == []
