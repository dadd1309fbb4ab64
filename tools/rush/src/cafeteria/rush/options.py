"""The options of a rush; the command line uses the same names."""

from pathlib import Path

import msgspec

ORDERS = 5_000
FAULTS = 20
STUDENTS = 200
REPLICAS = 2
FOOTPRINT_FROM_ORDERS = 20_000
WHOLE_FROM_ORDERS = 50_000


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`only` names kinds of faults or whole families; empty means all. `home` keeps data and logs."""

    orders: int = ORDERS
    faults: int = FAULTS
    seed: int = 0
    students: int = STUDENTS
    replicas: int = REPLICAS
    only: tuple[str, ...] = ()
    scene: str | None = None
    """Played instead of a mixed rush."""
    report: Path | None = None
    home: Path | None = None
    with_footprint: bool = False
    """Whether memory and descriptors are measured afterwards, under a second load."""

    @property
    def is_whole(self) -> bool:
        """Whether the rush is so large, with all kinds of faults, that large batches and second tries must occur."""
        return not self.only and self.scene is None and self.orders >= WHOLE_FROM_ORDERS

    @property
    def command(self) -> str:
        """The command that repeats the rush."""
        numbers = {
            "orders": self.orders,
            "faults": self.faults,
            "students": self.students,
            "replicas": self.replicas,
            "seed": self.seed,
        }
        if self.scene:
            return f"just rush --scene {self.scene} --seed {self.seed}"
        words = [f"--{name} {number}" for name, number in numbers.items()]
        words += ["--footprint"] if self.with_footprint else []
        words += ["--only", *self.only] if self.only else []
        return " ".join(("just rush", *words))
