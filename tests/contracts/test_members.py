"""Every member of the workspace is tested, and stands without its neighbours."""

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
MEMBERS = sorted(
    path.parent
    for pattern in SETTINGS["tool"]["uv"]["workspace"]["members"]
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
TESTPATHS = SETTINGS["tool"]["pytest"]["ini_options"]["testpaths"]


def name_of(member: Path) -> str:
    name: str = tomllib.loads((member / "pyproject.toml").read_text())["project"]["name"]
    return name


@pytest.mark.house
@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_no_member_is_left_out(member: Path) -> None:
    """Of the tests that run by default, of the types that are checked, of what the root installs."""
    assert f"{member.relative_to(ROOT)}/tests" in TESTPATHS
    assert f"{member.relative_to(ROOT)}/src" in SETTINGS["tool"]["mypy"]["mypy_path"]
    assert name_of(member) in SETTINGS["project"]["dependencies"]
    packages = [f"cafeteria.{path.name}" for path in (member / "src/cafeteria").iterdir() if path.is_dir()]
    assert set(packages) <= set(SETTINGS["tool"]["importlinter"]["root_packages"])


@pytest.mark.house
def test_every_test_is_found_by_default(project_files: list[Path]) -> None:
    tests = [str(path.relative_to(ROOT)) for path in project_files if path.name.startswith("test_")]
    assert [path for path in tests if not path.startswith(tuple(f"{folder}/" for folder in TESTPATHS))] == []


def uv(*arguments: str, environment: Path) -> None:
    """Runs uv in the workspace with an environment of its own, and shows what it said when it fails."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_NO_SYNC"}
    }
    outcome = subprocess.run(
        ["uv", *arguments],
        cwd=ROOT,
        env={**inherited, "UV_PROJECT_ENVIRONMENT": str(environment), "UV_COMPILE_BYTECODE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.alone
@pytest.mark.timeout(300)  # nine packages at most to link, and a test run
@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_a_member_installs_and_passes_its_unit_tests_alone(member: Path, tmp_path: Path) -> None:
    """What a member imports without declaring it is not there, and so fails here."""
    environment = tmp_path / "environment"
    wanted = tmp_path / "unit.txt"
    uv("sync", "--quiet", "--locked", "--package", name_of(member), "--no-dev", environment=environment)
    uv(
        "export",
        "--quiet",
        "--locked",
        "--only-group",
        "unit",
        "--output-file",
        str(wanted),
        environment=environment,
    )
    uv("pip", "install", "--quiet", "--python", str(environment), "-r", str(wanted), environment=environment)
    interpreter = environment / "bin" / "python"
    outcome = subprocess.run(
        [interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", member / "tests/unit"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
