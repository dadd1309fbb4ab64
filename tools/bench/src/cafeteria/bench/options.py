"""What a person may choose; what is not chosen is each benchmark's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from cafeteria.bench.report import Report
from cafeteria.local_stack.data_directory import DataDirectory, temporary_data_directory


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`lock` is a file that is held while something is measured, on a machine that several share. `beside` names a commit
    that is measured in turn with this one.
    """

    seconds: float | None = None
    rounds: int | None = None
    connections: int | None = None
    lock: Path | None = None
    home: Path | None = None
    beside: str | None = None

    @contextmanager
    def data_folder(self) -> Iterator[DataDirectory]:
        """The chosen one, which stays, or one that is gone afterwards."""
        if self.home is None:
            with temporary_data_directory() as home:
                yield home
        else:
            yield DataDirectory(root=self.home.absolute())


class Benchmark(Protocol):
    """A module of this package."""

    NAME: str
    MEASURES: str

    async def run(self, options: Options) -> Report: ...
