"""Benchmark: how good the ready times are that a student is told while the kitchen is behind.

Every range is judged by the time at which its order became READY. The page's range is the one that it computes from the
first pace that contains the order. In the second scene the kitchen restarts with half of its stations, and the ranges count that
the first pace gives which is told a little later.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from cafeteria.bench.environment import Environment, Target, open_environment
from cafeteria.bench.generator import BenchError
from cafeteria.bench.interleaving import print_progress
from cafeteria.bench.machine import alone
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, Row, Series
from cafeteria.bench.requests import orders
from cafeteria.bench.steady import OpenLoad, percentile
from cafeteria.contracts.kitchen import Pace
from cafeteria.contracts.subjects import KITCHEN, NOTIFICATION, PACE
from cafeteria.kitchen.domain import Quote, QuoteOutcome
from cafeteria.kitchen.ready_range import ReadyRange, orders_ahead, range_of_cooking, range_of_queued
from cafeteria.local_stack.polling import is_true_within
from cafeteria.provisioning.bus_permissions import inbox_prefix

NAME = "ready"
MEASURES = "the ready times that students are told, against the real ones"

SECONDS, ORDERS_PER_S = 10.0, 50.0
STATIONS, FEWER_STATIONS = 50, 25
PREP_MIN_S, PREP_MAX_S = 3, 7
RESTART_AFTER_S = 15.0
REVISED_AFTER = timedelta(seconds=2)
COOKED_WITHIN_S = 180.0
PACE_WITHIN_S = 10.0

LEAST_IN_RANGE, MOST_ERROR, MOST_ERROR_REVISED = 0.75, 0.10, 0.25

STEADY, HALVED = "all stations", "half of them gone"

_ORDERS = """
SELECT received_at, started_at, completed_at, quoted_from, quoted_to, coalesce(quoted_at_once, false) AS at_once,
       CAST(jsonb_path_query_first(status_times, '$[*] ? (@.status == "STOCK_VERIFIED").at') #>> '{}' AS timestamptz)
           AS verified_at
FROM kitchen.kitchen_orders WHERE status = 'READY' ORDER BY id
"""
_OPEN = "SELECT count(*) FROM kitchen.kitchen_orders WHERE status IN ('QUEUED', 'IN_KITCHEN')"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One READY order, as the kitchen has stored it. `at_once`: it was told that it would wait for no other."""

    received_at: datetime
    verified_at: datetime
    started_at: datetime
    completed_at: datetime
    quoted_from: datetime | None
    quoted_to: datetime | None
    at_once: bool

    @property
    def quote(self) -> Quote | None:
        """The range that the kitchen stored when the order arrived."""
        if self.quoted_from is None or self.quoted_to is None:
            return None
        return Quote(
            told_at=self.received_at,
            ready_from=self.quoted_from,
            ready_to=self.quoted_to,
            at_once=self.at_once,
        )

    def range_by(self, pace: Pace) -> Quote | None:
        """The range that a page computes from this pace; None without one."""
        found = self._range_by(pace)
        if found is None:
            return None
        return Quote(
            told_at=pace.at,
            ready_from=pace.at + timedelta(seconds=found.from_s),
            ready_to=pace.at + timedelta(seconds=found.to_s),
            at_once=found.at_once,
        )

    def _range_by(self, pace: Pace) -> ReadyRange | None:
        if self.started_at <= pace.at:
            return range_of_cooking(pace, started_at=self.started_at, now=pace.at)
        ahead = orders_ahead(pace, verified_at=self.verified_at)
        return None if ahead is None else range_of_queued(pace, ahead=ahead, now=pace.at)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How good some ranges were. The errors are those of the ranges' middles, as shares of the real time."""

    count: int
    in_range: float
    error_median: float
    error_p90: float

    @classmethod
    def of(cls, told: Iterable[tuple[Order, Quote | None]]) -> "Verdict":
        known = [(order.completed_at, quote) for order, quote in told if quote is not None]
        errors = sorted(quote.error_ratio(ready_at) for ready_at, quote in known)
        held = sum(quote.outcome(ready_at) is QuoteOutcome.IN_RANGE for ready_at, quote in known)
        return cls(
            count=len(known),
            in_range=held / len(known) if known else 0.0,
            error_median=percentile(errors, 0.5),
            error_p90=percentile(errors, 0.9),
        )


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The orders of one scene, the paces that were told meanwhile, and when the kitchen restarted, if it did."""

    orders: Sequence[Order]
    paces: Sequence[Pace]
    restarted_at: datetime | None

    def quotes(self, *, at_once: bool) -> Verdict:
        return Verdict.of((order, order.quote) for order in self._of_kind(at_once=at_once))

    def pages(self, *, at_once: bool) -> Verdict:
        return Verdict.of((order, self._first_range(order)) for order in self._of_kind(at_once=at_once))

    def revised(self) -> Verdict:
        """The ranges of the orders that still wait, from the first pace told REVISED_AFTER the restart."""
        if self.restarted_at is None:
            return Verdict.of(())
        at = self.restarted_at + REVISED_AFTER
        pace = next((pace for pace in self.paces if pace.at >= at and pace.stations == FEWER_STATIONS), None)
        if pace is None:
            raise BenchError("The restarted kitchen told no pace.")
        waiting = [order for order in self.orders if order.started_at > pace.at]
        return Verdict.of((order, order.range_by(pace)) for order in waiting)

    def _of_kind(self, *, at_once: bool) -> list[Order]:
        return [order for order in self.orders if order.at_once is at_once]

    def _first_range(self, order: Order) -> Quote | None:
        """Return the range by the first pace that is told once the kitchen has the order."""
        first = max(order.verified_at, order.received_at)
        return next((order.range_by(pace) for pace in self.paces if pace.at >= first), None)


async def run(options: Options) -> Report:
    async with open_environment(options) as environment, alone(options.lock):
        steady = await _play(environment, options, restarts=False)
        halved = await _play(environment, options, restarts=True)
    return _report(steady, halved, options)


async def _play(environment: Environment, options: Options, *, restarts: bool) -> Scene:
    environment.stack.environments[KITCHEN] = _kitchen(STATIONS)
    async with environment.product() as target, _paces(environment) as paces:
        if not await is_true_within(PACE_WITHIN_S, lambda: bool(paces)):
            raise BenchError("The kitchen told no pace.")
        offered = asyncio.create_task(_offer(environment, target, options))
        restarted_at = await _restart(environment) if restarts else None
        await offered
        if not await is_true_within(COOKED_WITHIN_S, lambda: _is_cooked(environment)):
            raise BenchError(f"Orders were not READY within {COOKED_WITHIN_S:g} s.")
        rows = await environment.admin.fetch(_ORDERS)
    found = [Order(**dict(row)) for row in rows]
    print_progress(f"{len(found)} orders READY, {len(paces)} paces{', with a restart' if restarts else ''}")
    return Scene(orders=found, paces=sorted(paces, key=lambda pace: pace.at), restarted_at=restarted_at)


def _kitchen(stations: int) -> dict[str, str]:
    return {
        "KITCHEN_STATIONS": str(stations),
        "KITCHEN_PREP_MIN_S": str(PREP_MIN_S),
        "KITCHEN_PREP_MAX_S": str(PREP_MAX_S),
    }


async def _offer(environment: Environment, target: Target, options: Options) -> None:
    load = OpenLoad(target.gateways[0], orders(environment.tokens, environment.items), rate=ORDERS_PER_S)
    await load.run(options.seconds or SECONDS)


async def _restart(environment: Environment) -> datetime:
    """Restart the kitchen with fewer stations while orders wait; return when it stopped."""
    await asyncio.sleep(RESTART_AFTER_S)
    restarted_at = datetime.now(UTC)
    environment.stack.environments[KITCHEN] = _kitchen(FEWER_STATIONS)
    await environment.stack.stop(KITCHEN)
    await environment.stack.start(KITCHEN)
    return restarted_at


async def _is_cooked(environment: Environment) -> bool:
    return not await environment.admin.fetchval(_OPEN)


@asynccontextmanager
async def _paces(environment: Environment) -> AsyncIterator[list[Pace]]:
    """Collect the paces, with the rights of notification."""
    servers = environment.stack.servers
    client, paces = Client(), list[Pace]()

    async def receive(message: Msg) -> None:
        paces.append(msgspec.json.decode(message.data, type=Pace))

    await client.connect(
        servers.nats_url,
        user=NOTIFICATION,
        password=servers.credentials.nats_password(NOTIFICATION),
        inbox_prefix=inbox_prefix(NOTIFICATION).encode(),
    )
    try:
        await client.subscribe(PACE.subject, cb=receive)
        yield paces
    finally:
        await client.close()


def _report(steady: Scene, halved: Scene, options: Options) -> Report:
    scenes = {STEADY: steady, HALVED: halved}
    kinds: dict[str, Callable[[Scene], Verdict]] = {
        "waited, the kitchen's quote": lambda scene: scene.quotes(at_once=False),
        "waited, the page's first range": lambda scene: scene.pages(at_once=False),
        "began at once, the kitchen's quote": lambda scene: scene.quotes(at_once=True),
        "began at once, the page's first range": lambda scene: scene.pages(at_once=True),
    }
    rows = [row for what, judge in kinds.items() for row in _rows(what, scenes, judge)]
    revised = _rows("waiting at the restart, as revised", {HALVED: halved}, Scene.revised)
    return Report(
        name=NAME,
        measures=MEASURES,
        settings={
            "orders": f"{ORDERS_PER_S:g}/s for {options.seconds or SECONDS:g} s",
            "stations": f"{STATIONS}, then {FEWER_STATIONS}",
            "cooking": f"{PREP_MIN_S} to {PREP_MAX_S} s",
        },
        rows=(*rows, *revised),
        ratios=_ratios(steady, halved),
    )


def _rows(what: str, scenes: dict[str, Scene], judge: Callable[[Scene], Verdict]) -> tuple[Row, ...]:
    verdicts = {name: judge(scene) for name, scene in scenes.items()}

    def row(figure: str, unit: str, value: Callable[[Verdict], float]) -> Row:
        by = {name: Series((value(verdict),)) for name, verdict in verdicts.items()}
        return Row(what=f"{what}: {figure}", unit=unit, by=by)

    return (
        row("orders", "", lambda each: each.count),
        row("in the range", "%", lambda each: each.in_range * 100),
        row("error, median", "%", lambda each: each.error_median * 100),
        row("error, 90 %", "%", lambda each: each.error_p90 * 100),
    )


def _ratios(steady: Scene, halved: Scene) -> tuple[Ratio, ...]:
    ratios = []
    told = {"the kitchen's quote": steady.quotes, "the page's first range": steady.pages}
    for what, judge in told.items():
        verdict = judge(at_once=False)
        ratios += [
            Ratio(
                what=f"waited, {what}: share in the range",
                values=Series((verdict.in_range,)),
                target=LEAST_IN_RANGE,
            ),
            _at_most(f"waited, {what}: error, median", verdict.error_median, MOST_ERROR),
        ]
    revised = halved.revised()
    ratios.append(
        _at_most(
            "half of the stations gone, as revised: error, median", revised.error_median, MOST_ERROR_REVISED
        )
    )
    return tuple(ratios)


def _at_most(what: str, value: float, most: float) -> Ratio:
    return Ratio(what=what, values=Series((value,)), target=most, at_least=False)
