"""`GET /v1/ops/<service>`: how this process is doing, for the operator's page; and its own judgement that it is slow.

Once a second the metrics are read into a snapshot. A request pays for nothing of it, and an answer needs no dependency but
for the state of health, which takes CHECK_LIMIT_S at most.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from math import nan
from time import monotonic
from typing import Any

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry

from cafeteria.chassis.auth.tokens import SignedInRequest, requires
from cafeteria.chassis.http.health import Check, examine
from cafeteria.chassis.http.pulse_snapshot import Answers, read_snapshot
from cafeteria.chassis.jobs import JobRunner
from cafeteria.chassis.messaging import dead_letters, lag, reconciliation, relay
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.observability.metrics import Declaration
from cafeteria.chassis.observability.pulse import History, Slowness, Snapshot, Window, judge
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.ops import MAX_ROUTES, Health, PulseSecond, RoutePulse, ServicePulse
from cafeteria.contracts.values import Role

TICK_S = 1.0

MEAN_SECONDS = metrics.gauge(
    "cafeteria_http_mean_seconds_30s",
    "Mean duration of the answers of the last 30 s, without event streams, health, metrics and requests that did not arrive whole; NaN without an answer",
)

FIGURES: Mapping[str, Declaration[Any]] = {
    "outbox_rows": relay.REMAINING,
    "outbox_oldest_s": relay.OLDEST,
    "reader_lag": lag.READER_LAG,
    "group_pending": metrics.GROUP_PENDING,
    "dead_letters": dead_letters.WRITTEN,
    "missing_messages": reconciliation.RESENT,
}
"""Figures of every service that has such a thing, each the sum over the labels. Counters count since the start."""

_log = get_logger()


class OwnFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one service adds to its pulse, by name: `levels` are metrics, `rates` are answers a second."""

    levels: Mapping[str, Declaration[Any]] = msgspec.field(default_factory=dict)
    rates: Mapping[str, Answers] = msgspec.field(default_factory=dict)


def ops_path(service: str) -> str:
    """The path of the route, which no log and no figure counts: the operator's page asks once a second."""
    return f"/v1/ops/{service}"


class Pulse:
    """The last minute of one app. `replica` names this process among those of its service."""

    def __init__(
        self,
        service: str,
        *,
        replica: str,
        registry: CollectorRegistry,
        quiet_routes: frozenset[str],
        own: OwnFigures,
    ) -> None:
        self.service = service
        self._replica = replica
        self._registry = registry
        self._quiet_routes = quiet_routes
        self._rates = own.rates
        self._levels = {**FIGURES, **own.levels}
        self._mean_seconds = MEAN_SECONDS.metric(registry)
        self._slowness = Slowness()
        first = self._read()
        self._started_at = first.at
        self._history = History(first)

    @asynccontextmanager
    async def running(self, _: object) -> AsyncIterator[None]:
        """Read the metrics once a second while the app runs."""
        async with JobRunner("pulse", TICK_S, self._tick):
            yield

    async def _tick(self) -> None:
        self.note(self._read())

    def _read(self) -> Snapshot:
        return read_snapshot(
            self._registry,
            at=now(),
            clock_s=monotonic(),
            quiet_routes=self._quiet_routes,
            counted=self._rates,
        )

    def note(self, snapshot: Snapshot) -> None:
        """Add a second to the history, and judge whether answers are slow; a change is logged."""
        self._history.add(snapshot)
        window, before = self._history.window(), self._slowness
        self._slowness = judge(before, window)
        answers = window.everything
        mean_s = answers.mean_s()
        self._mean_seconds.set(nan if mean_s is None else mean_s)
        facts = {"mean_ms": _ms(mean_s), "answers": int(answers.count), "window_s": round(window.seconds, 1)}
        if self._slowness.since and not before.since:
            _log.warning("answers_slow", **facts)
        elif before.since and not self._slowness.since:
            _log.info("answers_normal", since=before.since.isoformat(), **facts)

    def answer(self, health: Health) -> ServicePulse:
        """The pulse as of the last second."""
        window = self._history.window()
        answers = window.everything
        newest, oldest = window.newer, window.older
        return ServicePulse(
            service=self.service,
            replica=self._replica,
            started_at=self._started_at,
            at=newest.at,
            health=health,
            window_s=round(window.seconds, 1),
            per_s=_rounded(window.per_s(answers.count)),
            mean_ms=_ms(answers.mean_s()),
            p50_ms=_ms(answers.percentile_s(0.5)),
            p95_ms=_ms(answers.percentile_s(0.95)),
            refused_share=round(window.share(newest.refused - oldest.refused), 4),
            failed_share=round(window.share(newest.failed - oldest.failed), 4),
            is_slow=self._slowness.since is not None,
            slow_since=self._slowness.since,
            routes=_routes_of(window),
            figures=self._figures(window),
            seconds=tuple(map(_second_of, self._history.seconds())),
        )

    def _figures(self, window: Window) -> dict[str, float]:
        levels = {name: metric.total(self._registry) for name, metric in self._levels.items()}
        known = {name: level for name, level in levels.items() if level is not None}
        return {name: _rounded(value) for name, value in {**window.rates(), **known}.items()}


def ops_route(pulse: Pulse, checks: Mapping[str, Check]) -> HTTPRouteHandler:
    """The route of one service; `checks` are its dependencies by name."""

    @get(
        ops_path(pulse.service),
        before_request=requires(Role.OPERATOR),
        summary="Tell how this process is doing (operators only)",
        tags=["operations"],
    )
    async def read_pulse(request: SignedInRequest) -> ServicePulse:  # noqa: ARG001 - the guard's
        """Tell rates, means and percentiles of the last half minute, and each second of the last minute.

        200 also while the service is not ready: `health` says what is missing, within a second.
        """
        return pulse.answer(await examine(checks))

    return read_pulse


def _routes_of(window: Window) -> tuple[RoutePulse, ...]:
    busiest = islice(window.routes().items(), MAX_ROUTES)
    return tuple(
        RoutePulse(
            method=method,
            route=route,
            per_s=_rounded(window.per_s(durations.count)),
            mean_ms=_ms(durations.mean_s()),
            p95_ms=_ms(durations.percentile_s(0.95)),
        )
        for (route, method), durations in busiest
    )


def _second_of(window: Window) -> PulseSecond:
    answers = window.everything
    return PulseSecond(
        at=window.newer.at,
        per_s=_rounded(window.per_s(answers.count)),
        mean_ms=_ms(answers.mean_s()),
        figures={name: _rounded(rate) for name, rate in window.rates().items()},
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _rounded(value: float) -> float:
    return round(value, 2)
