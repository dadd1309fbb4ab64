"""`just new-service` in a fresh clone: the service's own tests and the house's hold, and the page's steps remove it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs/adopting.md"
TIMEOUT_S = 240.0  # on a machine that does much else; alone it takes less than a minute
BIN = Path(sys.executable).parent
COMMAND = (sys.executable, "-m", "cafeteria.local_stack.new_service", "zoo_keepers")
HOUSE = (
    "tests/contracts/test_readmes.py",
    "tests/contracts/test_compose.py",
    "tests/contracts/test_dependencies.py",
)


class Clone:
    """A clone whose sources stand before those of this repository; installing it again would take most of the time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sources(self) -> str:
        return os.pathsep.join(str(path) for path in sorted(self.folder.glob("*/*/src")))

    def run(self, *command: str | Path, ends_with: int = 0) -> str:
        """Run in the clone; return what it said."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": self.sources()},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == ends_with, done.stdout + done.stderr
        return done.stdout + done.stderr

    def changes(self) -> str:
        return self.run("git", "status", "--porcelain")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Of what is or would be committed, so that a change is tested before its commit."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        source, copy = ROOT / name, tmp_path / "clone" / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
            copy.chmod(source.stat().st_mode)
    clone = Clone(tmp_path / "clone")
    clone.run("git", "init", "--quiet")
    clone.run("git", "add", "--all")
    clone.run(
        "git", "-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "--quiet", "--message=All"
    )
    return clone


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_a_new_service_is_rendered_tested_and_removed_without_a_trace(clone: Clone) -> None:
    it_is_rendered(clone)
    its_tests_and_the_houses_hold(clone)
    a_second_one_of_that_name_is_refused(clone)
    the_pages_steps_remove_it(clone)


def it_is_rendered(clone: Clone) -> None:
    # its modules sort after those of `testkit`, and its distribution has a hyphen
    assert "./just test packages/zoo_keepers" in clone.run(*COMMAND)
    assert "packages/zoo_keepers/" in clone.changes()


def its_tests_and_the_houses_hold(clone: Clone) -> None:
    clone.run(BIN / "ruff", "check", "--quiet")
    clone.run(BIN / "ruff", "format", "--check", "--quiet")
    clone.run(BIN / "lint-imports")
    said = clone.run(BIN / "pytest", "-q", "packages/zoo_keepers", *HOUSE)
    assert re.search(r"^\d+ passed", said, flags=re.MULTILINE), said


def a_second_one_of_that_name_is_refused(clone: Clone) -> None:
    before = clone.changes()
    assert "There is a 'zoo_keepers' already" in clone.run(*COMMAND, ends_with=1)
    assert clone.changes() == before


def the_pages_steps_remove_it(clone: Clone) -> None:
    section = PAGE.read_text().partition("### Remove it before you have committed it")[2]
    [steps] = re.findall(r"^```sh\n(.*?)^```", section.partition("\n### ")[0], flags=re.MULTILINE | re.DOTALL)
    clone.run("sh", "-e", "-c", steps.replace("loyalty", "zoo_keepers"))
    assert clone.changes() == ""
    assert not (clone.folder / "packages/zoo_keepers").exists()
    clone.run("uv", "lock", "--check", "--quiet")
