"""Every member of the workspace is tested, and installs and works without the others."""

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
UNRESOLVED_IMPORTS = Path(__file__).with_name("unresolved_imports.py")
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
    tests = [str(path.relative_to(ROOT)) for path in project_files if path.match("test_*.py")]
    assert [path for path in tests if not path.startswith(tuple(f"{folder}/" for folder in TESTPATHS))] == []


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all members in turn: uv takes out of it what the next one does not declare."""
    return tmp_path_factory.mktemp("alone") / "environment"


@pytest.fixture(scope="module")
def unit_requirements(environment: Path) -> Path:
    """The locked versions of what unit tests need besides the member itself."""
    wanted = environment.with_name("unit.txt")
    run(
        "uv",
        "export",
        "--quiet",
        "--locked",
        "--only-group=unit",
        f"--output-file={wanted}",
        into=environment,
    )
    return wanted


def run(*command: str | Path, into: Path) -> None:
    """Run in the workspace with that environment as the project's; show the output when it fails."""
    # bytecode is kept apart from the environment, or every member would compile the libraries again
    left_out = {"VIRTUAL_ENV", "UV_NO_SYNC", "UV_COMPILE_BYTECODE", "PYTHONDONTWRITEBYTECODE"}
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    outcome = subprocess.run(
        command,
        cwd=ROOT,
        env={
            **inherited,
            "UV_PROJECT_ENVIRONMENT": str(into),
            "UV_COMPILE_BYTECODE": "0",
            "PYTHONPYCACHEPREFIX": str(into.with_name("bytecode")),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_a_member_installs_alone_and_has_all_that_it_imports(
    member: Path, environment: Path, unit_requirements: Path
) -> None:
    """What a member or its unit tests import without declaring it is not there."""
    run(
        "uv",
        "sync",
        "--quiet",
        "--locked",
        "--no-dev",
        "--all-extras",
        f"--package={name_of(member)}",
        into=environment,
    )
    interpreter = environment / "bin" / "python"
    run("uv", "pip", "install", "--quiet", "--python", interpreter, "-r", unit_requirements, into=environment)
    run(interpreter, UNRESOLVED_IMPORTS, member / "src", member / "tests/unit", into=environment)
