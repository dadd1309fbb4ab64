"""The command line's options; a benchmark has a default of its own for each that is not set."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from cafeteria.bench.report import Report
from cafeteria.local_stack.data_directory import DataDirectory, temporary_data_directory


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`lock` is a file that is locked during a measurement, for a shared machine. `beside` is a commit to interleave with this
    one.
    """

    seconds: float | None = None
    rounds: int | None = None
    connections: int | None = None
    lock: Path | None = None
    home: Path | None = None
    beside: str | None = None

    @contextmanager
    def data_directory(self) -> Iterator[DataDirectory]:
        """Open the chosen data directory, which is kept, or a temporary one."""
        if self.home is None:
            with temporary_data_directory() as data_directory:
                yield data_directory
        else:
            yield DataDirectory(root=self.home.absolute())


class Benchmark(Protocol):
    """A module of this package."""

    NAME: str
    MEASURES: str

    async def run(self, options: Options) -> Report: ...
