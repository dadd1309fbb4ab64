"""The promises that must hold in the environment after a crash: I1 to I10, over stored and observed data."""

import msgspec

from cafeteria.crash_points.environment import Environment
from cafeteria.faultkit.invariants import check
from cafeteria.faultkit.quiescence import streams_caught_up
from cafeteria.faultkit.snapshot import read_snapshot

STREAMS_WITHIN_S = 10.0


async def broken_promises(environment: Environment, left: tuple[str, ...]) -> list[str]:
    """A sentence for each broken promise; `left` are those about what is not carried. Streams get STREAMS_WITHIN_S."""
    stored = msgspec.structs.replace(await read_snapshot(environment.database), on_the_way=left)
    await streams_caught_up(stored, environment.history, within_s=STREAMS_WITHIN_S)
    return [
        f"{name}: {sentence}"
        for name, sentences in check(stored, environment.history).items()
        for sentence in sentences
    ]
