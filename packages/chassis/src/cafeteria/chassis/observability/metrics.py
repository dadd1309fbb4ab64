"""Metrics are declared once, as data, and live in the registry of the app that uses them.

Several apps may run in one process (tests do), so no metric belongs to the process. An app makes its registry
current for its lifespan and its requests; a declaration finds its metric there. `labels()` costs microseconds:
on a hot path bind the child once and keep it.
"""

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Generic, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, values
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.process_collector import ProcessCollector

M = TypeVar("M", bound=MetricWrapperBase)
Argument = TypeVar("Argument")
Built = TypeVar("Built")

BATCH_ITEMS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Registry(CollectorRegistry):
    """One app's metrics."""

    def __init__(self) -> None:
        super().__init__(auto_describe=True)
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time stamp beside every series would double the page
        values.ValueClass = (
            values.MutexValue
        )  # in memory, also where PROMETHEUS_MULTIPROC_DIR is set for other programs
        self.made: dict[object, MetricWrapperBase] = {}
        ProcessCollector(registry=self)
        GCCollector(registry=self)

    def run(self, build: Callable[[Argument], Built], argument: Argument) -> Built:
        """Call `build`; the metrics that it uses are this app's."""
        context = copy_context()
        context.run(make_current, self)
        return context.run(build, argument)

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self)


_current: ContextVar[Registry | None] = ContextVar("metrics_registry", default=None)
_outside_of_apps: list[Registry] = []


def current_registry() -> Registry:
    """The running app's registry; code outside of any app shares one that is never rendered."""
    registry = _current.get()
    if registry is not None:
        return registry
    if not _outside_of_apps:
        _outside_of_apps.append(Registry())
    return _outside_of_apps[0]


def make_current(registry: Registry) -> None:
    """Use `registry` in this task and in all tasks that it starts."""
    _current.set(registry)


class Declaration(Generic[M]):
    """A metric's definition; `make` creates the metric in one app's registry."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Registry], M]) -> None:
        self._make = make

    def labels(self, *values: str) -> M:
        """The child for these label values in the current app."""
        return self.metric().labels(*values)

    def metric(self, registry: Registry | None = None) -> M:
        """The metric in `registry`, or in the current app; a metric without labels counts by itself."""
        registry = registry or current_registry()
        if self not in registry.made:
            registry.made[self] = self._make(registry)
        return cast("M", registry.made[self])


def counter(name: str, meaning: str, *labels: str) -> Declaration[Counter]:
    return Declaration(lambda registry: Counter(name, meaning, labels, registry=registry))


def gauge(name: str, meaning: str, *labels: str) -> Declaration[Gauge]:
    return Declaration(lambda registry: Gauge(name, meaning, labels, registry=registry))


def histogram(
    name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = SECONDS_BUCKETS
) -> Declaration[Histogram]:
    return Declaration(lambda registry: Histogram(name, meaning, labels, registry=registry, buckets=buckets))


GROUP_BATCH_ITEMS = histogram(
    "cafeteria_group_batch_items", "Items in one group commit", "group", buckets=BATCH_ITEMS_BUCKETS
)
GROUP_COMMIT_SECONDS = histogram("cafeteria_group_commit_seconds", "Duration of one group commit", "group")
GROUP_PENDING = gauge("cafeteria_group_pending", "Items that wait for a group commit or are in one", "group")
