"""One round of the order flow: warm up, offer load, wait until all orders are carried, check the counts."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import msgspec

from cafeteria.bench import consistency
from cafeteria.bench.environment import PORTIONS, Environment, Target
from cafeteria.bench.generator import Load
from cafeteria.bench.machine import Meter, Usage, alone
from cafeteria.bench.options import Options
from cafeteria.bench.readers import Readers, reading
from cafeteria.bench.speed import SpeedProbe
from cafeteria.faultkit import quiescence

WARM_S = 3.0
QUIESCENT_WITHIN_S = 90.0


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """The load to offer, and the portions of each item at the start."""

    seconds: float
    connections: int
    items: Sequence[str]
    with_streams: bool = False
    portions: int = PORTIONS


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """`load`, `usage` and `piece_us` cover the time under load; `carried_cpu_s` (by process) also the time until all is carried."""

    load: Load
    usage: Usage
    piece_us: float
    carried_per_s: float
    drain_s: float
    carried_cpu_s: dict[str, float]
    stored: consistency.StoredCounts
    errors: list[str]

    @property
    def cpu_s_in_all(self) -> float:
        return sum(self.carried_cpu_s.values())

    def cpu_us(self) -> dict[str, float]:
        """Return microseconds of CPU for each accepted order, by process."""
        orders = max(1, self.load.accepted)
        return {name: seconds / orders * 1e6 for name, seconds in self.carried_cpu_s.items()}


async def run_round(environment: Environment, target: Target, flow: Flow, options: Options) -> Round:
    """Run one round. Raises BenchError if the load could not be offered."""

    async def offer(seconds: float) -> Load:
        return await environment.place_orders(
            target, connections=flow.connections, seconds=seconds, items=flow.items
        )

    since = consistency.moment()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(alone(options.lock))
        readers = None
        if flow.with_streams:
            readers = await stack.enter_async_context(reading(target.notification, environment.tokens))
        warm = await offer(WARM_S)
        await quiescence.until_idle(environment.admin, within_s=QUIESCENT_WITHIN_S)
        await environment.admin.execute("ANALYZE")  # otherwise plans depend on the last autovacuum
        meter = Meter(target.pids)
        before = await _carried(environment, readers)
        async with SpeedProbe() as probe:
            load = await offer(flow.seconds)
        carried = await _carried(environment, readers) - before
        usage = meter.read()
        await quiescence.until_idle(environment.admin, within_s=QUIESCENT_WITHIN_S)
        whole = meter.read()
    stored = await consistency.read(environment.admin, since=since)
    accepted = warm.accepted + load.accepted
    return Round(
        load=load,
        usage=usage,
        piece_us=probe.mean_us,
        carried_per_s=carried / load.seconds,
        drain_s=whole.seconds - usage.seconds,
        carried_cpu_s=whole.cpu_s,
        stored=stored,
        errors=await consistency.find_errors(
            environment.admin, stored, accepted=accepted, unanswered=2 * flow.connections
        ),
    )


async def _carried(environment: Environment, readers: Readers | None) -> int:
    """Return the number of READY orders, from the streams or else from the log."""
    if readers is not None:
        return readers.ready
    return int(await environment.admin.fetchval(_LOGGED))


_LOGGED = "SELECT coalesce((SELECT position FROM notification.position_counter), 0) / 4"
"""A READY order has four rows in the log. Counting the rows themselves would cost as much CPU as some orders."""
