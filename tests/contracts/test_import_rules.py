"""Each import rule refuses what it forbids: every one is broken on purpose in a copy of the sources.

A rule that nothing can break would be a comment; these tests are what makes it a rule.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cafeteria.contracts.subjects import SERVICES

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
LAYERS = (
    ("__main__",),
    ("app",),
    ("http_api", "message_handlers", "jobs"),
    ("use_cases",),
    ("repository", "clients"),
    ("tables",),
    ("domain",),
    ("errors",),
)

CHASSIS_LAYERS = (
    ("process",),
    ("service",),
    ("app",),
    ("ops",),
    ("jobs",),
    ("auth.tokens",),
    ("messaging.bus",),
    ("http.cors", "database.pool"),
    ("observability.logs",),
    ("runtime.ids",),
)

TOOL_LAYERS = (
    ("rush",),
    ("crash_points", "protocol_model", "bench"),
    ("faultkit", "testkit"),
    ("local_stack",),
    ("provisioning",),
)

Import = tuple[str, str]
"""The importing module, and the imported one."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder holding the workspace's sources as one tree, which import-linter reads instead of the installed."""
    for source in (*ROOT.glob("packages/*/src/cafeteria/*"), *ROOT.glob("tools/*/src/cafeteria/*")):
        shutil.copytree(
            source, tmp_path / "cafeteria" / source.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(tree: Path, imports: Sequence[Import]) -> None:
    """Adds each import, making the modules that are not there."""
    for number, (importer, imported) in enumerate(imports):
        for module in (importer, imported):
            touch(tree, module)
        with path_of(tree, importer).open("a") as file:
            file.write(f"\n\ndef planted_{number}() -> None:\n    import {imported}\n")


def path_of(tree: Path, module: str) -> Path:
    path = tree.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def touch(tree: Path, module: str) -> None:
    if module.startswith("cafeteria."):
        path = path_of(tree, module)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def lint(tree: Path, rule: str | None) -> subprocess.CompletedProcess[str]:
    """One rule, or all of them; chains are shown whole, so lines are not folded."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", *(["--contract", rule] if rule else [])],
        cwd=tree,
        env={**os.environ, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def assert_refused(tree: Path, rule: str, imports: Sequence[Import]) -> None:
    """All are planted together, and each must be named: refusing one of them is not enough."""
    plant(tree, imports)
    outcome = lint(tree, rule)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    reported = set(re.findall(r"([\w.]+) -> ([\w.]+) \(l\.", outcome.stdout))
    assert set(imports) - reported == set()


def of_each_service(importer: str, imported: str) -> list[Import]:
    return [(f"cafeteria.{service}.{importer}", f"cafeteria.{service}.{imported}") for service in SERVICES]


def test_a_service_may_not_import_another(tree: Path) -> None:
    pairs = itertools.permutations(SERVICES, 2)
    imports = [(f"cafeteria.{one}.clients", f"cafeteria.{other}.domain") for one, other in pairs]
    assert_refused(tree, "services-are-strangers", imports)


def test_the_contracts_may_import_msgspec_only(tree: Path) -> None:
    wanted = ("litestar", "asyncio", "os", "cafeteria.chassis.runtime.ids", "cafeteria.stock.domain")
    assert_refused(tree, "contracts-are-data", [("cafeteria.contracts.values", name) for name in wanted])


def test_the_chassis_may_not_import_a_service_or_its_provisioning(tree: Path) -> None:
    wanted = [f"cafeteria.{name}.demo" for name in (*SERVICES, "provisioning")]
    assert_refused(
        tree, "chassis-knows-no-service", [("cafeteria.chassis.runtime.ids", name) for name in wanted]
    )


def test_the_chassis_may_not_import_the_messages_about_food(tree: Path) -> None:
    wanted = [
        f"cafeteria.contracts.{owner}" for owner in ("gateway", "kitchen", "notification", "orders", "stock")
    ]
    assert_refused(
        tree, "chassis-knows-no-food", [("cafeteria.chassis.runtime.ids", name) for name in wanted]
    )


def test_a_package_of_the_chassis_may_not_import_one_outside_it(tree: Path) -> None:
    imports = [
        (f"cafeteria.chassis.{inner}", f"cafeteria.chassis.{outer}")
        for outers, inners in itertools.pairwise(CHASSIS_LAYERS)
        for inner in inners
        for outer in outers
    ]
    assert_refused(tree, "chassis-layers", imports)


def test_the_database_and_http_packages_may_not_import_each_other(tree: Path) -> None:
    imports = [
        ("cafeteria.chassis.http.planted", "cafeteria.chassis.database.pool"),
        ("cafeteria.chassis.database.planted", "cafeteria.chassis.http.cors"),
    ]
    assert_refused(tree, "chassis-layers", imports)


def test_the_group_commit_may_not_import_a_driver(tree: Path) -> None:
    imports = [("cafeteria.chassis.database.group_commit", driver) for driver in ("asyncpg", "sqlalchemy")]
    assert_refused(tree, "group-commit-needs-no-driver", imports)


def test_a_service_may_not_import_its_provisioning(tree: Path) -> None:
    imports = [(f"cafeteria.{service}.app", "cafeteria.provisioning.demo") for service in SERVICES]
    assert_refused(tree, "services-are-provisioned", imports)


def test_nothing_in_packages_may_import_a_tool(tree: Path) -> None:
    packages = [path.name for path in ROOT.glob("packages/*/src/cafeteria/*")]
    tools = [path.name for path in ROOT.glob("tools/*/src/cafeteria/*")]
    assert {"provisioning", "chassis"} < set(packages)
    assert {"local_stack", "testkit"} < set(tools)
    imports = [
        (f"cafeteria.{package}.planted", f"cafeteria.{tool}.demo") for package in packages for tool in tools
    ]
    assert_refused(tree, "packages-need-no-tool", imports)


def test_the_local_stack_alone_may_import_the_pages(tree: Path) -> None:
    members = {path.name for path in ROOT.glob("*/*/src/cafeteria/*")} - {"web", "local_stack"}
    assert {"chassis", "gateway", "rush"} < members
    assert_refused(
        tree, "pages-are-files", [(f"cafeteria.{member}.planted", "cafeteria.web") for member in members]
    )


def test_a_tool_may_not_import_one_that_is_built_on_it(tree: Path) -> None:
    imports = [
        (f"cafeteria.{lower}.planted", f"cafeteria.{upper}.demo")
        for uppers, lowers in itertools.combinations(TOOL_LAYERS, 2)
        for upper in uppers
        for lower in lowers
    ]
    assert_refused(tree, "tools-build-on-each-other", imports)


def test_tools_of_one_layer_may_not_import_each_other(tree: Path) -> None:
    imports = [
        (f"cafeteria.{one}.planted", f"cafeteria.{other}.demo")
        for layer in TOOL_LAYERS
        for one, other in itertools.combinations(layer, 2)
    ]
    assert_refused(tree, "tools-build-on-each-other", imports)


def test_the_rush_may_not_import_crash_points_beside_its_option(tree: Path) -> None:
    wanted = ("crash_points.rounds", "protocol_model.search", "bench.report")
    imports = [("cafeteria.rush.campaign", f"cafeteria.{name}") for name in wanted]
    assert_refused(tree, "one-option-for-crash-points", imports)


def test_domain_and_errors_may_not_import_the_outside(tree: Path) -> None:
    outside = (
        "litestar",
        "sqlalchemy",
        "asyncpg",
        "nats",
        "time",
        "random",
        "os",
        "cafeteria.chassis.runtime.clock",
    )
    imports = [
        (f"cafeteria.{service}.{module}", name)
        for service in SERVICES
        for module in ("domain", "errors")
        for name in outside
    ]
    assert_refused(tree, "domain-is-pure", imports)


def test_the_domain_may_not_reach_a_framework_through_another_module(tree: Path) -> None:
    imports = [
        ("cafeteria.kitchen.domain", "cafeteria.kitchen.recipes"),
        ("cafeteria.kitchen.recipes", "sqlalchemy"),
    ]
    assert_refused(tree, "domain-is-pure", imports)


def test_a_layer_may_not_import_the_one_outside_it(tree: Path) -> None:
    imports = [
        pair
        for outers, inners in itertools.pairwise(LAYERS)
        for inner in inners
        for outer in outers
        for pair in of_each_service(inner, outer)
    ]
    assert_refused(tree, "layers", imports)


def test_the_innermost_layer_may_not_import_the_outermost(tree: Path) -> None:
    assert_refused(tree, "layers", of_each_service("errors", "http_api"))


def test_modules_of_one_layer_may_not_import_each_other(tree: Path) -> None:
    pairs = [pair for layer in LAYERS for pair in itertools.combinations(layer, 2)]
    assert_refused(tree, "layers", [pair for one, other in pairs for pair in of_each_service(one, other)])


def test_a_use_case_may_not_import_another(tree: Path) -> None:
    for service in SERVICES:
        touch(tree, f"cafeteria.{service}.use_cases.__init__")
    assert_refused(
        tree, "use-cases-are-independent", of_each_service("use_cases.one_thing", "use_cases.another_thing")
    )


def test_a_use_case_may_not_import_all_of_them(tree: Path) -> None:
    imports = [("cafeteria.kitchen.use_cases.list_tickets", "cafeteria.kitchen.use_cases")]
    assert_refused(tree, "use-cases-are-independent", imports)


def test_only_two_use_cases_are_shared(tree: Path) -> None:
    imports = [
        (f"cafeteria.gateway.use_cases.{shared}", "cafeteria.gateway.use_cases.place_order")
        for shared in ("settle_orders", "project_statuses")
    ]
    assert_refused(tree, "use-cases-are-independent", imports)


def test_an_inward_import_is_allowed(tree: Path) -> None:
    """The rules refuse what they should, not everything."""
    plant(
        tree,
        [
            ("cafeteria.kitchen.http_api", "cafeteria.kitchen.use_cases.list_tickets"),
            ("cafeteria.kitchen.use_cases.list_tickets", "cafeteria.contracts.kitchen"),
            ("cafeteria.gateway.use_cases.read_orders", "cafeteria.gateway.use_cases.settle_orders"),
            ("cafeteria.stock.domain", "decimal"),
        ],
    )
    outcome = lint(tree, None)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
