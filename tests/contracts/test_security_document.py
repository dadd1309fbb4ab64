"""docs/security.md names each security event and each requirement of ASVS 5.0.0, and only tests that exist."""

import re
from collections import Counter
from pathlib import Path

import pytest

from cafeteria.chassis.runtime.security_events import SecurityEvent

pytestmark = pytest.mark.house

PAGE = "docs/security.md"
STANDARD = """
1.1 22; 1.2 1111122223; 1.3 112222222223; 1.4 222; 1.5 123
2.1 122; 2.2 112; 2.3 12223; 2.4 23
3.1 3; 3.2 113; 3.3 12223; 3.4 11222233; 3.5 11122333; 3.6 3; 3.7 22333
4.1 12233; 4.2 23333; 4.3 22; 4.4 1222
5.1 2; 5.2 112333; 5.3 113; 5.4 222
6.1 122; 6.2 111111112222; 6.3 11223333; 6.4 112233; 6.5 22222333; 6.6 2223; 6.7 33; 6.8 2222
7.1 222; 7.2 1111; 7.3 22; 7.4 11222; 7.5 223; 7.6 22
8.1 1233; 8.2 1123; 8.3 133; 8.4 23
9.1 111; 9.2 1222
11.1 2233; 11.2 22233; 11.3 11233; 11.4 1222; 11.5 23; 11.6 23; 11.7 33
12.1 12233; 12.2 11; 12.3 22223
13.1 2333; 13.2 222223; 13.3 2233; 13.4 1222233
14.1 22; 14.2 12223333; 14.3 122
15.1 12233; 15.2 12233; 15.3 1222222; 15.4 3333
16.1 2; 16.2 22222; 16.3 2222; 16.4 222; 16.5 2223
"""
"""The level of each requirement, in order, by section: version 5.0.0 without V10 and V17, which do not apply."""
LEVELS = dict(part.split() for line in STANDARD.strip().splitlines() for part in line.split("; "))
REQUIREMENT = r"\d{1,2}\.\d\.\d{1,2}"
ROW = re.compile(rf"^\| ({REQUIREMENT}) \| ([12]) \| (.+) \| (.+) \| (.+) \|$", flags=re.MULTILINE)
ABSENT = re.compile(rf"\(((?:{REQUIREMENT}, )*{REQUIREMENT})\)\.")
TEST = re.compile(r"(?:PENDING-[\w-]+ )?`([\w./-]+\.py)::(test_\w+)`")
EVENT_ROW = re.compile(r"^\| `(\w+)` \| .+ \| (the request's|its own) \| .+ \|$", flags=re.MULTILINE)
NONE = "\N{EN DASH}"


def required() -> dict[str, str]:
    """The levels 1 and 2, by requirement."""
    return {
        f"{section}.{number}": level
        for section, levels in LEVELS.items()
        for number, level in enumerate(levels, start=1)
        if level != "3"
    }


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / PAGE).read_text(encoding="utf-8")


def test_the_levels_are_as_many_as_the_standard_has() -> None:
    # 345 requirements: V10 has 5, 24 and 7, V17 none, 7 and 5
    counts = Counter("".join(LEVELS.values()))
    assert (counts["1"] + 5, counts["2"] + 24 + 7, counts["3"] + 7 + 5) == (70, 183, 92)


def test_each_requirement_has_one_row_or_is_said_not_to_apply(page: str) -> None:
    absent = [number for numbers in ABSENT.findall(page) for number in numbers.split(", ")]
    mentioned = [row[0] for row in ROW.findall(page)] + absent
    assert sorted(mentioned) == sorted(required())


def test_each_row_has_the_level_of_its_requirement(page: str) -> None:
    assert [row[:2] for row in ROW.findall(page) if required()[row[0]] != row[1]] == []


def test_each_named_test_exists(page: str, root: Path) -> None:
    for number, *_, cell in ROW.findall(page):
        named = TEST.findall(cell)
        assert TEST.sub("", cell).strip(", ") == ("" if named else NONE), number
        for path, test in named:
            if f"`{path}::{test}`" in re.sub(r"PENDING-[\w-]+ `[^`]+`", "", cell):
                text = (root / path).read_text(encoding="utf-8")
                assert re.search(rf"^(?:async )?def {test}\(", text, flags=re.MULTILINE), f"{path}::{test}"


def test_the_page_lists_each_security_event_and_no_other(page: str) -> None:
    assert [name for name, _ in EVENT_ROW.findall(page)] == list(SecurityEvent)


def test_each_security_event_is_written_somewhere(project_files: list[Path], root: Path) -> None:
    sources = [path for path in project_files if "src" in path.parts and path.suffix == ".py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    unused = [event for event in SecurityEvent if f"SecurityEvent.{event.name}" not in text]
    assert unused == []
