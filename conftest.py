"""How the whole suite is collected, and spread over four workers: whole files, for what they share is made once per worker.

The files that start processes come first, so that all workers end at about the same time; four on two cores, because many tests wait.
"""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

ONE_STACK = (
    "tests/e2e",
    "tests/pages",
)  # the files of each share a running cafeteria, and those of the second a browser
TOOLS = ("rush", "crash-points", "bench", "local-stack")
STARTS_PROCESSES = (*ONE_STACK, *(f"tools/{tool}/tests/integration" for tool in TOOLS))
TAKES_LONG = "tools/protocol-model/tests/unit"  # the longest of the unit tests by far


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Modules and tests stay to the end: looking through them for garbage is a quarter of the collection's time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    # a member's tests alone have no xdist
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415

    class FileByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((folder for folder in ONE_STACK if file.startswith(f"{folder}/")), file)

    config.option.loadscopereorder = False  # by the number of tests
    return FileByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.nodeid))  # stable: within a file all stays as it is


def _turn(nodeid: str) -> int:
    return next(
        (turn for turn, folder in enumerate(STARTS_PROCESSES) if nodeid.startswith(f"{folder}/")),
        len(STARTS_PROCESSES) + ("/unit/" in nodeid and not nodeid.startswith(TAKES_LONG)),
    )
