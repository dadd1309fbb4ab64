"""What every service tells its operator: whether it can work, how its last minute was, and what it knows of one order."""

from uuid import UUID

import msgspec

from cafeteria.contracts.values import Instant

MAX_ROUTES = 12
MAX_SECONDS = 61


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a service can work. `dependencies` has a state for each name: `ok`, or `unavailable: <reason>`."""

    status: str
    dependencies: dict[str, str]


class RoutePulse(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of one route and method within the window; `p95_ms` is an estimate."""

    method: str
    route: str
    per_s: float
    mean_ms: float | None
    p95_ms: float | None


class PulseSecond(msgspec.Struct, frozen=True, kw_only=True):
    """About one second, which ended at `at`. `mean_ms` is null without an answer; `figures` are rates of this second."""

    at: Instant
    per_s: float
    mean_ms: float | None
    figures: dict[str, float]


class ServicePulse(msgspec.Struct, frozen=True, kw_only=True):
    """How one process of a service is doing. Event streams, health, metrics and this answer itself do not count.

    The numbers are of the `window_s` seconds before `at`, 30 as a rule and less after a start: answers a second, their mean
    in milliseconds, and an estimate of the median and of the 95th percentile, each null without an answer.
    `refused_share` is the share of 503, `failed_share` that of any other 5xx, from 0 to 1. It is slow since `slow_since`,
    as this process judges itself. `routes` begin with the busiest, `seconds` with the oldest. A figure is absent where a
    service has no such thing.
    """

    service: str
    replica: str
    started_at: Instant
    at: Instant
    health: Health
    window_s: float
    per_s: float
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    refused_share: float
    failed_share: float
    is_slow: bool
    slow_since: Instant | None
    routes: tuple[RoutePulse, ...]
    figures: dict[str, float]
    seconds: tuple[PulseSecond, ...]


class TraceFact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a service knows to have happened to an order. `what` is a stable name, `detail` says more."""

    at: Instant
    what: str
    detail: dict[str, str] = {}


class OrderTrace(msgspec.Struct, frozen=True, kw_only=True):
    """All that a service knows of an order, by time; no facts where it has not heard of it."""

    service: str
    order_id: UUID
    facts: tuple[TraceFact, ...]
