"""A clone holds the same bytes on every machine, also where git is configured to write CRLF."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone can be cloned")
def test_a_clone_that_asks_for_crlf_has_none(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for setting in ("true", "input"):
        git = ("git", "-c", f"core.autocrlf={setting}", "-c", "core.eol=crlf")
        subprocess.run(
            [*git, "clone", "--quiet", "--depth=1", f"file://{ROOT}", f"{clone}-{setting}"], check=True
        )
        listed = subprocess.run(
            [*git, "ls-files", "--eol"], cwd=f"{clone}-{setting}", capture_output=True, text=True, check=True
        )
        wrong = [line for line in listed.stdout.splitlines() if "w/crlf" in line or "w/mixed" in line]
        assert wrong == []
