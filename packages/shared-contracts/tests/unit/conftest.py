"""Fixtures of the contract tests: every message of every module, and every example file."""

import inspect
import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from cafeteria import contracts

EXAMPLES = Path(__file__).parents[2] / "examples"
MODULES = [
    import_module(f"{contracts.__name__}.{found.name}")
    for found in pkgutil.iter_modules(contracts.__path__)
    if found.name not in {"channels", "subjects"}
]


def messages_of(module: ModuleType) -> list[type[msgspec.Struct]]:
    """The structs that this module declares, not those that it imports."""
    return [
        struct
        for _, struct in inspect.getmembers(module, inspect.isclass)
        if issubclass(struct, msgspec.Struct) and struct.__module__ == module.__name__
    ]


MESSAGES = {
    f"{module.__name__.rpartition('.')[2]}/{struct.__name__}": struct
    for module in MODULES
    for struct in messages_of(module)
}


def examples(folder: str) -> list[str]:
    return sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.glob(folder))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "message" in metafunc.fixturenames:
        metafunc.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
    if "example" in metafunc.fixturenames:
        metafunc.parametrize("example", examples("*/*.json"))
    if "older_example" in metafunc.fixturenames:
        metafunc.parametrize("older_example", examples("*/older/*.json"))


@pytest.fixture
def messages() -> dict[str, type[msgspec.Struct]]:
    """Every message by `<owner>/<Message>`."""
    return MESSAGES


@pytest.fixture
def examples_folder() -> Path:
    return EXAMPLES
