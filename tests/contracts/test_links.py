"""Every relative link in a Markdown file leads to a file that exists, and to a heading that is in it."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def pages(project_files: list[Path]) -> list[Path]:
    found = [path for path in project_files if path.suffix == ".md"]
    assert len(found) > 30
    return found


def prose(page: Path) -> str:
    return CODE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchor of each heading, as GitHub derives it."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_broken(page: Path, target: str, anchor: str) -> bool:
    file = page.parent / target if target else page
    return not file.exists() or bool(anchor and file.suffix == ".md" and anchor not in anchors(file))


def broken_links(page: Path) -> list[str]:
    return [
        f"{page}: {target}#{anchor}"
        for target, anchor in LINK.findall(prose(page))
        if is_broken(page, target, anchor)
    ]


def test_every_link_leads_somewhere(pages: list[Path]) -> None:
    assert [link for page in pages for link in broken_links(page)] == []


@pytest.mark.parametrize(
    "link", ["[a](missing.md)", "[a](other.md#no-such-heading)", "[a](#no-such-heading)"]
)
def test_a_broken_link_is_found(tmp_path: Path, link: str) -> None:
    (tmp_path / "other.md").write_text("# A heading\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n[good](other.md#a-heading) {link}\n", encoding="utf-8")
    assert len(broken_links(page)) == 1
