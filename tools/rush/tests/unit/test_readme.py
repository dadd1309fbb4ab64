"""The README names every kind of fault, every invariant, every scene, and no others."""

import re
from pathlib import Path

import pytest

from cafeteria.faultkit.invariants import INVARIANTS
from cafeteria.rush.__main__ import main
from cafeteria.rush.faults import KINDS
from cafeteria.rush.scenes import SCENES

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_every_kind_of_fault_is_named() -> None:
    first_cells = "".join(line.split("|")[1] for line in section("Faults").splitlines() if "|" in line)
    assert set(re.findall(r"`([^`]+)`", first_cells)) == set(KINDS)


def test_every_invariant_is_named() -> None:
    named = set(re.findall(r"^\| (I\d+) \|", section("Invariants"), flags=re.MULTILINE))
    assert named >= {name.split()[0] for name in INVARIANTS}
    assert named == {f"I{number}" for number in range(1, 14)}


def test_every_scene_is_named() -> None:
    assert set(re.findall(r"--scene ([a-z-]+)", README)) == set(SCENES)


def test_the_same_command_runs_crash_points(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--crash-points", "--help"])
    assert "--lanes" in capsys.readouterr().out
    assert "just rush --crash-points" in README
