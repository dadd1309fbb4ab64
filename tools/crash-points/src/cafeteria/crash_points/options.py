"""The options of a run over the crash points; the command line uses the same names."""

import msgspec

from cafeteria.crash_points.environment import KILLABLE_SERVICES
from cafeteria.crash_points.scenarios import SCENARIOS

WORKERS = 2


class CrashOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`sample` is the number of points, drawn by `seed` evenly over the services; None takes all.

    `only` has names of points, or patterns with `*`. `workers` is the number of parallel workers, each with servers and
    services of its own.
    """

    services: tuple[str, ...] = KILLABLE_SERVICES
    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    only: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 0
    workers: int = WORKERS
    fresh_starts: int = 2
    """How often the survey restarts all services to record scenarios on fresh processes."""
