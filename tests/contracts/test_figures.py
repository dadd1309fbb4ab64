"""A measured figure is written in docs/performance.md; another page may repeat it, rounded, but not contradict it."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

SOURCE = "docs/performance.md"
PAGES_WITH_FIGURES_OF_THEIR_OWN = ("docs/performance", "docs/decisions", "docs/evidence")
NUMBER = r"\d[\d,]*(?:\.\d+)?"
UNITS = r"orders a second|orders/s|orders per second|µs|KiB of memory|MiB of memory"
FIGURE = re.compile(rf"({NUMBER})\s(?:{UNITS})")


def value(text: str) -> float:
    return float(text.replace(",", ""))


def is_rounded(text: str, exact: float) -> bool:
    """Whether `text`, such as "18", is the number `exact`, such as 17.6, rounded to the decimals of `text`."""
    return round(exact, len(text.partition(".")[2])) == value(text)


def unknown_figures(page: str, source: str) -> list[str]:
    known = [value(each) for each in re.findall(NUMBER, source)]
    return [
        figure[0]
        for figure in FIGURE.finditer(page)
        if not any(is_rounded(figure[1], each) for each in known)
    ]


@pytest.fixture(scope="module")
def source(root: Path) -> str:
    return (root / SOURCE).read_text(encoding="utf-8")


def test_every_other_page_repeats_the_measured_figures(
    root: Path, project_files: list[Path], source: str
) -> None:
    pages = {path.relative_to(root).as_posix(): path for path in project_files if path.suffix == ".md"}
    unknown = {
        name: found
        for name, path in pages.items()
        if not name.startswith(PAGES_WITH_FIGURES_OF_THEIR_OWN)
        and (found := unknown_figures(path.read_text(encoding="utf-8"), source))
    }
    assert unknown == {}, f"measure it, write it in {SOURCE}, and link to it"


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("It accepts 678 orders a second.", []),
        ("It accepts 679\norders a second.", ["679\norders a second"]),
        ("18 KiB of memory each", []),
        ("17.5 KiB of memory each", ["17.5 KiB of memory"]),
        ("1,300 ms are a limit, no measured speed", []),
    ],
)
def test_a_figure_that_was_never_measured_is_found(text: str, unknown: list[str]) -> None:
    assert unknown_figures(text, "It accepts 678 orders a second. | memory for each | 17.6 KiB |") == unknown
