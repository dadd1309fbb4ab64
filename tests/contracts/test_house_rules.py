"""The code keeps its own rules: small files and functions, the same names everywhere, no path of one machine."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40
NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "common", "manager", "base"}

Functions = ast.FunctionDef | ast.AsyncFunctionDef


@pytest.fixture(scope="module")
def python_files(project_files: list[Path]) -> list[Path]:
    return [path for path in project_files if path.suffix == ".py"]


@pytest.fixture(scope="module")
def product_files(python_files: list[Path]) -> list[Path]:
    return [path for path in python_files if "src" in path.parts]


def functions_of(path: Path) -> Iterator[Functions]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Functions):
            yield node


def lines_of(function: Functions) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_no_product_file_is_over_350_lines(product_files: list[Path]) -> None:
    long = {str(path): lines for path in product_files if (lines := line_count(path)) > MAX_FILE_LINES}
    assert long == {}


def line_count(path: Path) -> int:
    return path.read_text().count("\n")


def test_no_function_is_over_40_lines(product_files: list[Path]) -> None:
    long = [
        f"{path}:{function.lineno} {function.name}: {lines_of(function)}"
        for path in product_files
        for function in functions_of(path)
        if lines_of(function) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_a_modules_name_says_what_it_holds(product_files: list[Path]) -> None:
    assert [path for path in product_files if path.stem in NAMES_THAT_SAY_NOTHING] == []


FOOD = re.compile(r"\b(?:order_ids?|item_ids?|student_ids?|tickets?|portions?|menus?|kitchen_\w+)\b")


def test_the_chassis_has_no_name_of_a_services_contracts(product_files: list[Path]) -> None:
    """Another project can take the chassis as it is."""
    found = [
        f"{path}:{number} {line.strip()}"
        for path in product_files
        if "chassis" in path.parts
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if FOOD.search(line)
    ]
    assert found == []


def test_cafeteria_is_a_namespace_that_no_member_owns(root: Path) -> None:
    assert list(root.glob("*/*/src/cafeteria/__init__.py")) == []


def test_a_file_that_is_not_needed_is_absent(product_files: list[Path]) -> None:
    empty = [path for path in product_files if path.name != "__init__.py" and not path.read_text().strip()]
    assert empty == []


def test_the_annotations_of_http_routes_exist_at_run_time(product_files: list[Path]) -> None:
    """Litestar reads them; postponed or type-checking-only ones would fail at the first request."""
    modules = [path for path in product_files if "http_api" in path.parts or path.stem == "http_api"]
    for path in modules:
        text = path.read_text()
        assert "from __future__ import annotations" not in text, path
        assert "TYPE_CHECKING" not in text, path


CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "uuid1", "uuid4", "uuid6", "uuid7"}


def calls_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            yield called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def test_the_domain_reads_no_clock_and_makes_no_ids(product_files: list[Path]) -> None:
    """`datetime` and `uuid` are types there; the caller passes in the time and the ids."""
    pure = [path for path in product_files if path.stem in {"domain", "errors"}]
    assert {f"{path}: {name}" for path in pure for name in calls_of(path) if name in CLOCKS} == set()


# A reason in words follows the code, after a dash or as a comment of its own.
SILENCED = re.compile(r"#\s*(?:noqa|type:\s*ignore)(?P<codes>[^#]*?)(?P<reason>\s(?:-|#|because)\s*\w.*)?$")


def test_an_ignore_has_its_reason_beside_it(product_files: list[Path]) -> None:
    bare = [
        f"{path}:{number} {line.strip()}"
        for path in product_files
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if (found := SILENCED.search(line)) and not found["reason"]
    ]
    assert bare == []


# Put together here, or this file would name them.
ONE_MACHINES_NAMES = (
    "/wor" + "k/main",
    "/wor" + "k/s",
    "/opt/py" + "pi",
    "/root/" + ".",
    "/home/" + "runner",
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "npmjs" + ".org",
)


def test_no_file_names_one_machines_paths_or_a_package_registry(project_files: list[Path]) -> None:
    named = [
        f"{path}: {name}"
        for path in project_files
        for name in ONE_MACHINES_NAMES
        if name.encode() in path.read_bytes()
    ]
    assert named == []
