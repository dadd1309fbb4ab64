"""What a run over the crash points is asked to be; the command line gives the same names."""

import msgspec

from cafeteria.rush.crash_points.lives import LIVES
from cafeteria.rush.crash_points.stage import VICTIMS

LANES = 2


class CrashOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`sample` takes so many points, drawn by `seed` evenly over the services; None takes all.

    `only` are names of points, or patterns with `*`. Each of the `lanes` has servers and services of its own.
    """

    services: tuple[str, ...] = VICTIMS
    lives: tuple[str, ...] = tuple(LIVES)
    only: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 0
    lanes: int = LANES
    fresh_starts: int = 2
    """Of how many starts of all services the survey writes down the first lives."""
