"""Each import rule refuses what it forbids: every one is broken on purpose in a copy of the sources.

A rule that nothing can break would be a comment; these tests are what makes it a rule.
"""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
SERVICES = ("gateway", "identity", "kitchen", "notification", "stock")
LAYERS = (
    ("__main__",),
    ("app",),
    ("http_api", "bus_api", "loops"),
    ("service",),
    ("views", "repository", "peers"),
    ("tables",),
    ("domain",),
    ("errors",),
)

Plant = Callable[..., None]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder holding the workspace's sources as one tree, which import-linter reads instead of the installed."""
    for source in (*ROOT.glob("packages/*/src/cafeteria/*"), *ROOT.glob("tools/*/src/cafeteria/*")):
        shutil.copytree(
            source, tmp_path / "cafeteria" / source.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def plant(tree: Path) -> Plant:
    """Adds an import to a module, making the module and what it imports when they are not there."""

    def add(importer: str, imported: str) -> None:
        for module in (importer, imported):
            touch(tree, module)
        with path_of(tree, importer).open("a") as file:
            file.write(f"\n\ndef planted() -> None:\n    import {imported}\n")

    return add


def path_of(tree: Path, module: str) -> Path:
    path = tree.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def touch(tree: Path, module: str) -> None:
    if module.startswith("cafeteria."):
        path = path_of(tree, module)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def lint(tree: Path, rule: str) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", command, "--contract", rule, "--no-cache"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def assert_refused(tree: Path, rule: str) -> None:
    outcome = lint(tree, rule)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "BROKEN" in outcome.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_not_import_another(tree: Path, plant: Plant, service: str) -> None:
    other = next(name for name in SERVICES if name != service)
    plant(f"cafeteria.{service}.peers", f"cafeteria.{other}.domain")
    assert_refused(tree, "services-are-strangers")


@pytest.mark.parametrize("imported", ["litestar", "asyncio", "os", "cafeteria.chassis.ids"])
def test_the_contracts_may_import_msgspec_only(tree: Path, plant: Plant, imported: str) -> None:
    plant("cafeteria.contracts.values", imported)
    assert_refused(tree, "contracts-are-data")


@pytest.mark.parametrize("imported", ["stock.domain", "gateway.service", "local_stack.demo"])
def test_the_chassis_may_not_import_a_service_or_a_tool(tree: Path, plant: Plant, imported: str) -> None:
    plant("cafeteria.chassis.ids", f"cafeteria.{imported}")
    assert_refused(tree, "chassis-knows-no-service")


@pytest.mark.parametrize("owner", ["gateway", "kitchen", "notification", "orders", "stock"])
def test_the_chassis_may_not_import_the_messages_about_food(tree: Path, plant: Plant, owner: str) -> None:
    plant("cafeteria.chassis.ids", f"cafeteria.contracts.{owner}")
    assert_refused(tree, "chassis-knows-no-food")


def test_a_service_may_not_import_the_local_stack(tree: Path, plant: Plant) -> None:
    plant("cafeteria.stock.app", "cafeteria.local_stack.demo")
    assert_refused(tree, "services-need-no-tool")


@pytest.mark.parametrize("module", ["domain", "errors"])
@pytest.mark.parametrize(
    "imported", ["litestar", "sqlalchemy", "asyncpg", "nats", "time", "random", "cafeteria.chassis.clock"]
)
def test_domain_and_errors_may_not_import_the_outside(
    tree: Path, plant: Plant, module: str, imported: str
) -> None:
    plant(f"cafeteria.kitchen.{module}", imported)
    assert_refused(tree, "domain-is-pure")


def test_the_domain_may_not_reach_a_framework_through_another_module(tree: Path, plant: Plant) -> None:
    plant("cafeteria.kitchen.domain", "cafeteria.kitchen.recipes")
    plant("cafeteria.kitchen.recipes", "sqlalchemy")
    assert_refused(tree, "domain-is-pure")


OUTWARD = [
    (inner, outer) for outers, inners in itertools.pairwise(LAYERS) for inner in inners for outer in outers
]


@pytest.mark.parametrize(("inner", "outer"), OUTWARD)
def test_a_layer_may_not_import_the_one_outside_it(tree: Path, plant: Plant, inner: str, outer: str) -> None:
    plant(f"cafeteria.stock.{inner}", f"cafeteria.stock.{outer}")
    assert_refused(tree, "layers")


@pytest.mark.parametrize(
    ("one", "other"), [("http_api", "bus_api"), ("loops", "http_api"), ("views", "peers")]
)
def test_neighbours_in_a_layer_may_not_import_each_other(
    tree: Path, plant: Plant, one: str, other: str
) -> None:
    plant(f"cafeteria.gateway.{one}", f"cafeteria.gateway.{other}")
    assert_refused(tree, "layers")


@pytest.mark.parametrize("service", SERVICES)
def test_the_layers_hold_in_every_service(tree: Path, plant: Plant, service: str) -> None:
    plant(f"cafeteria.{service}.errors", f"cafeteria.{service}.http_api")
    assert_refused(tree, "layers")


def test_an_inward_import_is_allowed(tree: Path, plant: Plant) -> None:
    rules = ("services-are-strangers", "contracts-are-data", "chassis-knows-no-service", "layers")
    plant("cafeteria.stock.http_api", "cafeteria.stock.service")
    plant("cafeteria.stock.service", "cafeteria.contracts.stock")
    for rule in rules:
        outcome = lint(tree, rule)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
