"""The result of a rush: which invariants held, which did not, and the figures of the run."""

from pathlib import Path

import msgspec

from cafeteria.faultkit.history import History
from cafeteria.faultkit.quiescence import Quiescence
from cafeteria.rush.footprint import Footprint
from cafeteria.rush.nemesis import Injection
from cafeteria.rush.options import Options
from cafeteria.rush.packing import Packing


class Verdict(msgspec.Struct, kw_only=True):
    """The result of a rush. It held if no list in `violations` has a sentence; `skipped` has reasons by check."""

    options: Options
    violations: dict[str, list[str]]
    skipped: dict[str, str]
    injections: list[Injection]
    quiescence: Quiescence
    lasted_s: float
    orders: dict[str, int]
    """How many are stored in each status."""
    overtaken: int
    """Keys that were refused from memory while another request under them was on its way and was accepted."""
    replayed: int
    """Messages of the bus's history that were replayed."""
    packing: Packing
    """How many items the bus's messages held."""
    footprints: dict[str, tuple[Footprint, Footprint]]
    """By process: before and after the second load; empty where that was not measured."""
    history: History
    data_directory: Path

    @property
    def held(self) -> bool:
        return not any(self.violations.values())

    @property
    def injected(self) -> list[Injection]:
        """The faults that were injected completely, without those that another fault prevented."""
        return [injection for injection in self.injections if not injection.missed]
