"""Every row of docs/failure-modes.md names tests that exist, and every test written for the page is named in it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

DOCUMENT = "docs/failure-modes.md"
PROOF = "tests/e2e/test_failure_modes.py"
WHOLE_PARTS = "test_what_students_see_without"
COLUMNS = [
    "what happens",
    "what the student sees",
    "within",
    "what is kept",
    "how it recovers, and when",
    "test",
]
TIME_LIMITS = ["wait", "ms", "then"]


def tables(text: str) -> Iterator[list[list[str]]]:
    """The rows of each table as lists of cells, the header first, without the line of dashes."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        yield [rows[0], *rows[2:]]


@pytest.fixture(scope="module")
def rows(root: Path) -> list[list[str]]:
    found = list(tables((root / DOCUMENT).read_text(encoding="utf-8")))
    assert [table[0] for table in found if table[0] != TIME_LIMITS] == [COLUMNS] * (len(found) - 1)
    return [row for table in found if table[0] != TIME_LIMITS for row in table[1:]]


def named_tests(row: list[str]) -> list[str]:
    return re.findall(r"`(test_[^`]+)`", row[-1])


@pytest.fixture(scope="module")
def proofs(root: Path) -> set[str]:
    """The tests written for this page, and each case of the one that stops or freezes whole parts."""
    text = (root / PROOF).read_text(encoding="utf-8")
    tests = set(re.findall(r"^async def (test_\w+)", text, flags=re.MULTILINE))
    cases = re.findall(r'^ +outage\("([\w-]+)"', text, flags=re.MULTILINE)
    assert cases
    tests.remove(WHOLE_PARTS)
    return tests | {f"{WHOLE_PARTS}[{case}]" for case in cases}


@pytest.fixture(scope="module")
def all_tests(project_files: list[Path], proofs: set[str]) -> set[str]:
    files = [path for path in project_files if path.name.startswith("test_") and path.suffix == ".py"]
    texts = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return proofs | set(re.findall(r"^(?:async )?def (test_\w+)", texts, flags=re.MULTILINE))


def test_every_row_names_tests_that_exist(rows: list[list[str]], all_tests: set[str]) -> None:
    assert len(rows) > 20
    for row in rows:
        assert len(row) == len(COLUMNS), row
        assert named_tests(row), f"no test proves: {row[0]}"
        assert set(named_tests(row)) <= all_tests, row[0]


def test_every_test_of_the_page_is_named_in_it(rows: list[list[str]], proofs: set[str]) -> None:
    assert proofs - {name for row in rows for name in named_tests(row)} == set()


def test_no_cell_is_empty(rows: list[list[str]]) -> None:
    assert [row for row in rows if not all(row)] == []
