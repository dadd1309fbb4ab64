"""Each import rule refuses what it forbids: every one is broken on purpose in a copy of the graph of imports.

A rule that nothing can break would be a comment; these tests are what makes it a rule.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import Contract
from importlinter.api import read_configuration
from importlinter.application.output import console
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract

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


KINDS: dict[str, Callable[..., Contract]] = {
    "forbidden": ForbiddenContract,
    "independence": IndependenceContract,
    "layers": LayersContract,
}


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    return read_configuration(str(ROOT / "pyproject.toml"))


@pytest.fixture(scope="module")
def all_imports(configuration: dict[str, Any]) -> grimp.ImportGraph:
    roots = configuration["session_options"]["root_packages"]
    return grimp.build_graph(*roots, include_external_packages=True, cache_dir=None)


class Workspace:
    """The workspace's imports, to which a test adds some, and its rules."""

    def __init__(self, graph: grimp.ImportGraph, configuration: dict[str, Any]) -> None:
        self._graph = graph
        self._configuration = configuration

    def add(self, imports: Sequence[Import]) -> None:
        """Add each import, and the modules that are not there."""
        for importer, imported in imports:
            for module in (importer, imported):
                self.add_module(module)
            self._graph.add_import(
                importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}"
            )

    def add_module(self, module: str) -> None:
        """Add the module and the packages around it; what is not ours is one module, as the linter has it."""
        parts = module.split(".")
        names = (
            [".".join(parts[:end]) for end in range(2, len(parts) + 1)]
            if parts[0] == "cafeteria"
            else [module]
        )
        for name in names:
            if name not in self._graph.modules:
                self._graph.add_module(name, is_squashed=parts[0] != "cafeteria")

    def refused(self, rule: str | None) -> str:
        """Return the linter's report on one rule, or on all; empty if nothing is refused. Chains are shown whole."""
        return "".join(self._reports(rule))

    def _reports(self, rule: str | None) -> Iterator[str]:
        for options in self._configuration["contracts_options"]:
            if rule in (None, options["id"]):
                contract = KINDS[options["type"]](
                    name=options["name"],
                    session_options=self._configuration["session_options"],
                    contract_options=options,
                )
                check = contract.check(deepcopy(self._graph), verbose=False)
                if not check.kept:
                    with console.capture() as captured:
                        contract.render_broken_contract(check)
                    yield captured.get()


@pytest.fixture
def workspace(
    all_imports: grimp.ImportGraph, configuration: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    monkeypatch.setattr(console, "width", 400)
    return Workspace(deepcopy(all_imports), configuration)


def assert_refused(workspace: Workspace, rule: str, imports: Sequence[Import]) -> None:
    """All are added together, and each must be named: refusing one of them is not enough."""
    workspace.add(imports)
    reported = set(re.findall(r"([\w.]+) -> ([\w.]+) \(l\.", workspace.refused(rule)))
    assert set(imports) - reported == set()


def of_each_service(importer: str, imported: str) -> list[Import]:
    return [(f"cafeteria.{service}.{importer}", f"cafeteria.{service}.{imported}") for service in SERVICES]


def test_a_service_may_not_import_another(workspace: Workspace) -> None:
    pairs = itertools.permutations(SERVICES, 2)
    imports = [(f"cafeteria.{one}.clients", f"cafeteria.{other}.domain") for one, other in pairs]
    assert_refused(workspace, "services-are-strangers", imports)


def test_the_contracts_may_import_msgspec_only(workspace: Workspace) -> None:
    wanted = ("litestar", "asyncio", "os", "cafeteria.chassis.runtime.ids", "cafeteria.stock.domain")
    assert_refused(workspace, "contracts-are-data", [("cafeteria.contracts.values", name) for name in wanted])


def test_the_chassis_may_not_import_a_service_or_its_provisioning(workspace: Workspace) -> None:
    wanted = [f"cafeteria.{name}.demo" for name in (*SERVICES, "provisioning")]
    assert_refused(
        workspace, "chassis-knows-no-service", [("cafeteria.chassis.runtime.ids", name) for name in wanted]
    )


def test_the_chassis_may_not_import_the_messages_about_food(workspace: Workspace) -> None:
    wanted = [
        f"cafeteria.contracts.{owner}" for owner in ("gateway", "kitchen", "notification", "orders", "stock")
    ]
    assert_refused(
        workspace, "chassis-knows-no-food", [("cafeteria.chassis.runtime.ids", name) for name in wanted]
    )


def test_a_package_of_the_chassis_may_not_import_one_outside_it(workspace: Workspace) -> None:
    imports = [
        (f"cafeteria.chassis.{inner}", f"cafeteria.chassis.{outer}")
        for outers, inners in itertools.pairwise(CHASSIS_LAYERS)
        for inner in inners
        for outer in outers
    ]
    assert_refused(workspace, "chassis-layers", imports)


def test_the_database_and_http_packages_may_not_import_each_other(workspace: Workspace) -> None:
    imports = [
        ("cafeteria.chassis.http.planted", "cafeteria.chassis.database.pool"),
        ("cafeteria.chassis.database.planted", "cafeteria.chassis.http.cors"),
    ]
    assert_refused(workspace, "chassis-layers", imports)


def test_the_group_commit_may_not_import_a_driver(workspace: Workspace) -> None:
    imports = [("cafeteria.chassis.database.group_commit", driver) for driver in ("asyncpg", "sqlalchemy")]
    assert_refused(workspace, "group-commit-needs-no-driver", imports)


def test_a_service_may_not_import_its_provisioning(workspace: Workspace) -> None:
    imports = [(f"cafeteria.{service}.app", "cafeteria.provisioning.demo") for service in SERVICES]
    assert_refused(workspace, "services-are-provisioned", imports)


def test_nothing_in_packages_may_import_a_tool(workspace: Workspace) -> None:
    packages = [path.name for path in ROOT.glob("packages/*/src/cafeteria/*")]
    tools = [path.name for path in ROOT.glob("tools/*/src/cafeteria/*")]
    assert {"provisioning", "chassis"} < set(packages)
    assert {"local_stack", "testkit"} < set(tools)
    imports = [
        (f"cafeteria.{package}.planted", f"cafeteria.{tool}.demo") for package in packages for tool in tools
    ]
    assert_refused(workspace, "packages-need-no-tool", imports)


def test_the_local_stack_alone_may_import_the_pages(workspace: Workspace) -> None:
    members = {path.name for path in ROOT.glob("*/*/src/cafeteria/*")} - {"web", "local_stack"}
    assert {"chassis", "gateway", "rush"} < members
    imports = [(f"cafeteria.{member}.planted", "cafeteria.web") for member in members]
    assert_refused(workspace, "pages-are-files", imports)


def test_a_tool_may_not_import_one_that_is_built_on_it(workspace: Workspace) -> None:
    imports = [
        (f"cafeteria.{lower}.planted", f"cafeteria.{upper}.demo")
        for uppers, lowers in itertools.combinations(TOOL_LAYERS, 2)
        for upper in uppers
        for lower in lowers
    ]
    assert_refused(workspace, "tools-build-on-each-other", imports)


def test_tools_of_one_layer_may_not_import_each_other(workspace: Workspace) -> None:
    imports = [
        (f"cafeteria.{one}.planted", f"cafeteria.{other}.demo")
        for layer in TOOL_LAYERS
        for one, other in itertools.combinations(layer, 2)
    ]
    assert_refused(workspace, "tools-build-on-each-other", imports)


def test_the_rush_may_not_import_crash_points_beside_its_option(workspace: Workspace) -> None:
    wanted = ("crash_points.rounds", "protocol_model.search", "bench.report")
    imports = [("cafeteria.rush.campaign", f"cafeteria.{name}") for name in wanted]
    assert_refused(workspace, "one-option-for-crash-points", imports)


def test_domain_and_errors_may_not_import_the_outside(workspace: Workspace) -> None:
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
    assert_refused(workspace, "domain-is-pure", imports)


def test_the_domain_may_not_reach_a_framework_through_another_module(workspace: Workspace) -> None:
    imports = [
        ("cafeteria.kitchen.domain", "cafeteria.kitchen.recipes"),
        ("cafeteria.kitchen.recipes", "sqlalchemy"),
    ]
    assert_refused(workspace, "domain-is-pure", imports)


def test_a_layer_may_not_import_the_one_outside_it(workspace: Workspace) -> None:
    imports = [
        pair
        for outers, inners in itertools.pairwise(LAYERS)
        for inner in inners
        for outer in outers
        for pair in of_each_service(inner, outer)
    ]
    assert_refused(workspace, "layers", imports)


def test_the_innermost_layer_may_not_import_the_outermost(workspace: Workspace) -> None:
    assert_refused(workspace, "layers", of_each_service("errors", "http_api"))


def test_modules_of_one_layer_may_not_import_each_other(workspace: Workspace) -> None:
    pairs = [pair for layer in LAYERS for pair in itertools.combinations(layer, 2)]
    assert_refused(
        workspace, "layers", [pair for one, other in pairs for pair in of_each_service(one, other)]
    )


def test_a_use_case_may_not_import_another(workspace: Workspace) -> None:
    for service in SERVICES:
        workspace.add_module(f"cafeteria.{service}.use_cases")
    assert_refused(
        workspace,
        "use-cases-are-independent",
        of_each_service("use_cases.one_thing", "use_cases.another_thing"),
    )


def test_a_use_case_may_not_import_all_of_them(workspace: Workspace) -> None:
    imports = [("cafeteria.kitchen.use_cases.list_tickets", "cafeteria.kitchen.use_cases")]
    assert_refused(workspace, "use-cases-are-independent", imports)


def test_only_two_use_cases_are_shared(workspace: Workspace) -> None:
    imports = [
        (f"cafeteria.gateway.use_cases.{shared}", "cafeteria.gateway.use_cases.place_order")
        for shared in ("settle_orders", "project_statuses")
    ]
    assert_refused(workspace, "use-cases-are-independent", imports)


def test_an_inward_import_is_allowed(workspace: Workspace) -> None:
    """The rules refuse what they should, not everything."""
    workspace.add(
        [
            ("cafeteria.kitchen.http_api", "cafeteria.kitchen.use_cases.list_tickets"),
            ("cafeteria.kitchen.use_cases.list_tickets", "cafeteria.contracts.kitchen"),
            ("cafeteria.gateway.use_cases.read_orders", "cafeteria.gateway.use_cases.settle_orders"),
            ("cafeteria.stock.domain", "decimal"),
        ],
    )
    assert workspace.refused(None) == ""
