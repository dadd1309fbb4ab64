"""Every decision record has a number, a date, a status and the same four parts."""

import re
from datetime import date
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
PARTS = ["Context", "Decision", "Rejected", "Look again"]
STATUS = re.compile(r"accepted|superseded by \[(?P<number>\d{4})\]\((?P<file>\d{4}-[a-z0-9-]+\.md)\)")
MAX_LINES = 60  # one page

records = pytest.mark.parametrize("record", sorted(FOLDER.iterdir()), ids=lambda path: path.stem)


def lines_of(record: Path) -> list[str]:
    return record.read_text(encoding="utf-8").splitlines()


def field(record: Path, name: str) -> str:
    [value] = [
        line.removeprefix(f"- {name}: ") for line in lines_of(record) if line.startswith(f"- {name}: ")
    ]
    return value


def parts_of(record: Path) -> list[str]:
    starts = (re.match(r"\*\*([A-Z][a-z ]+)\.?\*\*", line) for line in lines_of(record))
    return [start[1] for start in starts if start and start[1] in PARTS]


def part(record: Path, name: str) -> str:
    """The text of a part, up to the next one."""
    text = record.read_text(encoding="utf-8").partition(f"\n**{name}")[2]
    return text.partition("\n**")[0]


def test_no_two_decisions_have_the_same_number() -> None:
    numbers = [path.name[:4] for path in FOLDER.iterdir()]
    assert len(numbers) == len(set(numbers))


@records
def test_the_file_and_its_title_have_the_same_number(record: Path) -> None:
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", record.name)
    assert re.match(rf"# {int(record.name[:4])}\. \S", lines_of(record)[0])


@records
def test_date_and_status_follow_the_title(record: Path) -> None:
    _, blank, first, second, end = lines_of(record)[:5]
    assert (blank, end) == ("", "")
    assert [first.partition(":")[0], second.partition(":")[0]] == ["- Date", "- Status"]


@records
def test_the_date_is_a_day(record: Path) -> None:
    assert date.fromisoformat(field(record, "Date"))


@records
def test_the_status_is_accepted_or_names_a_later_decision(record: Path) -> None:
    status = STATUS.fullmatch(field(record, "Status"))
    assert status
    if status["file"]:
        assert (FOLDER / status["file"]).is_file()
        assert status["file"].startswith(status["number"])
        assert status["number"] > record.name[:4]


@records
def test_the_four_parts_are_there_once_and_in_order(record: Path) -> None:
    assert parts_of(record) == PARTS


@records
def test_each_rejected_alternative_has_its_reason(record: Path) -> None:
    """An alternative is in italics, a colon follows, and then the reason."""
    rejected = part(record, "Rejected")
    assert re.search(r"\*[^*]+\*[^:]*: ?\S", rejected, flags=re.DOTALL)
    alternatives = re.findall(r"^- .*(?:\n  .*)*", rejected, flags=re.MULTILINE)
    assert [each for each in alternatives if not re.match(r"- \*[^*]+\*[^:]*:\s\S", each)] == []


@records
def test_a_decision_is_one_page(record: Path) -> None:
    assert len(lines_of(record)) <= MAX_LINES
