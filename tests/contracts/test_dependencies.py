"""A member declares the distributions that it imports, and no others; those whose inside it uses it bounds tightly."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cafeteria.contracts.subjects import SERVICES

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
DISTRIBUTIONS = packages_distributions()


IMPORTED_BY_NAME = {canonicalize_name(f"cafeteria-{service}") for service in SERVICES}
"""The local stack starts services by their names, and provisioning finds their migrations by these."""

INSIDES = {
    "pool.py": "sqlalchemy",  # replaces a method of the engine's dialect
    "array_types.py": "asyncpg",
    "metrics.py": "prometheus-client",  # replaces the class of all values
    "migrations.py": "alembic",
    "nats_client.py": "nats-py",
    "openapi_routes.py": "litestar",  # leaves out a route that Litestar adds by itself
    "uvicorn_cycles.py": "uvicorn",
    "uvicorn_protocol.py": "uvicorn",
    "uvicorn_server.py": "uvicorn",
}
"""The files that use what a library does not promise to keep, by their names; each tells what and why."""

PUBLIC_DESPITE_UNDERSCORE = {"_asdict", "_exit", "_replace"}
"""Of named tuples and of os."""


def requirements_of(member: Path) -> dict[str, Requirement]:
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    declared = [Requirement(line) for lines in (project["dependencies"], *extras) for line in lines]
    return {canonicalize_name(each.name): each for each in declared}


def name_of(member: Path) -> str:
    name: str = tomllib.loads((member / "pyproject.toml").read_text())["project"]["name"]
    return name


OWNERS = {
    f"cafeteria.{path.name}": name_of(member)
    for member in MEMBERS
    for path in (member / "src/cafeteria").iterdir()
}


def distributions_of(module: str) -> set[str]:
    """Which may hold it: several distributions may share a package."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or module == "cafeteria":
        return set()
    if top == "cafeteria":
        return {OWNERS[".".join(module.split(".")[:2])]}
    return {canonicalize_name(name) for name in DISTRIBUTIONS[top]}


@cache
def nodes_of(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(file.read_text())))


def modules_of(file: Path) -> Iterator[str]:
    for node in nodes_of(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            of_namespace = node.module == "cafeteria"
            yield from (f"cafeteria.{each.name}" for each in node.names if of_namespace)
            yield node.module


def imports_of(member: Path) -> list[set[str]]:
    """One set for each imported module, of the distributions that may hold it."""
    modules = {module for file in (member / "src").rglob("*.py") for module in modules_of(file)}
    found = [distributions_of(module) for module in modules]
    return [each for each in found if each and name_of(member) not in each]


@pytest.mark.house
@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_what_a_member_imports_it_declares(member: Path) -> None:
    declared = requirements_of(member).keys()
    assert [sorted(each) for each in imports_of(member) if not each & declared] == []


@pytest.mark.house
@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_what_a_member_declares_it_imports(member: Path) -> None:
    allowed = IMPORTED_BY_NAME if member.name in ("local-stack", "provisioning") else set()
    assert requirements_of(member).keys() - set().union(*imports_of(member)) <= allowed


def private_names_of(file: Path) -> set[str]:
    """Names with an underscore that the file takes from something else than what it defines itself."""
    nodes = nodes_of(file)
    own = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    taken = {node.attr for node in nodes if isinstance(node, ast.Attribute) and not is_of_self(node)}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("cafeteria"):
            taken |= {*(node.module or "").split("."), *(alias.name for alias in node.names)}
    private = {name for name in taken if name.startswith("_") and not name.startswith("__")}
    return private - own - PUBLIC_DESPITE_UNDERSCORE


def is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}


def product_files() -> list[Path]:
    return [file for member in MEMBERS for file in (member / "src").rglob("*.py")]


@pytest.mark.house
def test_private_names_of_libraries_are_used_in_the_listed_files_only() -> None:
    found = {file.name: sorted(names) for file in product_files() if (names := private_names_of(file))}
    assert {name: names for name, names in found.items() if name not in INSIDES} == {}
    assert {"array_types.py", "migrations.py", "nats_client.py"} <= found.keys()


@pytest.mark.house
@pytest.mark.parametrize(("name", "library"), INSIDES.items())
def test_a_library_whose_inside_is_used_is_bounded(name: str, library: str) -> None:
    """`~=` keeps out the release that may change it, until the tests have passed with it."""
    files = [
        file
        for file in product_files()
        if file.name == name and any(library in distributions_of(module) for module in modules_of(file))
    ]
    assert files
    for file in files:
        member = ROOT.joinpath(*file.relative_to(ROOT).parts[:2])
        assert [each.operator for each in requirements_of(member)[library].specifier] == ["~="]
