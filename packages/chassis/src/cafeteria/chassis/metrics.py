"""Metrics are declared once, as data, and live in the registry of the app that uses them.

Several apps may run in one process (tests do), so no metric belongs to the process. An app makes its registry
current for its lifespan and its requests; a declaration finds its metric there. `labels()` costs microseconds:
on a hot path bind the child once and keep it.
"""

from contextvars import ContextVar
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

M = TypeVar("M", Counter, Gauge, Histogram)

BATCH_ITEMS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Registry(CollectorRegistry):
    """One app's metrics."""

    def __init__(self) -> None:
        super().__init__(auto_describe=True)
        self.made: dict[object, Counter | Gauge | Histogram] = {}
        ProcessCollector(registry=self)
        GCCollector(registry=self)

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self)


_current: ContextVar[Registry | None] = ContextVar("metrics_registry", default=None)
_outside_of_apps: list[Registry] = []


def current_registry() -> Registry:
    """The running app's; code that runs outside of any app shares one that nobody reads."""
    registry = _current.get()
    if registry is not None:
        return registry
    if not _outside_of_apps:
        _outside_of_apps.append(Registry())
    return _outside_of_apps[0]


def make_current(registry: Registry) -> None:
    """For this task and all that it starts."""
    _current.set(registry)


class Declaration(Generic[M]):
    """A metric's name, meaning and labels."""

    __slots__ = ("_buckets", "_kind", "_labels", "meaning", "name")

    def __init__(
        self,
        kind: type[M],
        name: str,
        meaning: str,
        labels: tuple[str, ...],
        buckets: tuple[float, ...] | None,
    ) -> None:
        self._kind, self.name, self.meaning, self._labels, self._buckets = (
            kind,
            name,
            meaning,
            labels,
            buckets,
        )

    def labels(self, *values: str) -> M:
        """The child for these label values in the current app."""
        return self.metric().labels(*values)

    def metric(self, registry: Registry | None = None) -> M:
        """The metric in the current app: for one without labels, what is counted with."""
        registry = registry or current_registry()
        metric = registry.made.get(self)
        if metric is None:
            options = {"buckets": self._buckets} if self._buckets else {}
            metric = self._kind(self.name, self.meaning, self._labels, registry=registry, **options)
            registry.made[self] = metric
        return metric  # type: ignore[return-value]  # made by our own kind, just above


def counter(name: str, meaning: str, *labels: str) -> Declaration[Counter]:
    return Declaration(Counter, name, meaning, labels, None)


def gauge(name: str, meaning: str, *labels: str) -> Declaration[Gauge]:
    return Declaration(Gauge, name, meaning, labels, None)


def histogram(
    name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = SECONDS_BUCKETS
) -> Declaration[Histogram]:
    return Declaration(Histogram, name, meaning, labels, buckets)


GROUP_BATCH_ITEMS = histogram(
    "cafeteria_group_batch_items", "Items in one group commit", "group", buckets=BATCH_ITEMS_BUCKETS
)
GROUP_COMMIT_SECONDS = histogram("cafeteria_group_commit_seconds", "Duration of one group commit", "group")
GROUP_PENDING = gauge("cafeteria_group_pending", "Items that wait for or are in a group commit", "group")
LOOP_FAILURES = counter("cafeteria_loop_failures_total", "Ticks of a background loop that failed", "loop")
TASK_FAILURES = counter("cafeteria_task_failures_total", "Background tasks that failed", "task")
