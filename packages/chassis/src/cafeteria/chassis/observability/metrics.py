"""A metric is declared once, at the top of a module, and created in the registry of each app that uses it.

In a process of its own, a service would need prometheus_client's global registry only. In tests several apps run in
one process, and two services may give a metric the same name: so each app has a CollectorRegistry, which is current
in its lifespan and its requests. `labels()` costs microseconds: on a hot path bind the child once and keep it.
"""

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    values,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.process_collector import ProcessCollector

M = TypeVar("M", bound=MetricWrapperBase)
Argument = TypeVar("Argument")
Built = TypeVar("Built")

BATCH_ITEMS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_current = ContextVar("metrics_registry", default=REGISTRY)
"""Code outside of any app counts in the library's own registry, which is never rendered."""


def app_registry() -> CollectorRegistry:
    """Create the registry of one app, with the metrics of the process in it."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a time stamp beside every series would double the page
    values.ValueClass = (
        values.MutexValue
    )  # in memory, also where PROMETHEUS_MULTIPROC_DIR is set for other programs
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def make_current(registry: CollectorRegistry) -> None:
    """Use `registry` in this task and in all tasks that it starts."""
    _current.set(registry)


def built_in(registry: CollectorRegistry, build: Callable[[Argument], Built], argument: Argument) -> Built:
    """Call `build`; the metrics that it uses are those of `registry`."""
    context = copy_context()
    context.run(make_current, registry)
    return context.run(build, argument)


class Declaration(Generic[M]):
    """A metric's definition, which holds the metric of each app; `make` creates one, given a registry."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[..., M]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[CollectorRegistry, M] = WeakKeyDictionary()

    def labels(self, *values: str) -> M:
        """The child for these label values in the current app."""
        return self.metric().labels(*values)

    def metric(self, registry: CollectorRegistry | None = None) -> M:
        """The metric in `registry`, or in the current app; a metric without labels counts by itself."""
        registry = registry or _current.get()
        if registry not in self._made:
            self._made[registry] = self._make(registry=registry)
        return self._made[registry]

    def total(self, registry: CollectorRegistry) -> float | None:
        """The sum of a counter's or gauge's values in `registry`; None if nothing there has used it."""
        made = self._made.get(registry)
        if made is None:
            return None
        return sum((sample.value for metric in made.collect() for sample in metric.samples), start=0.0)


def counter(name: str, meaning: str, *labels: str) -> Declaration[Counter]:
    return Declaration(partial(Counter, name, meaning, labels))


def gauge(name: str, meaning: str, *labels: str) -> Declaration[Gauge]:
    return Declaration(partial(Gauge, name, meaning, labels))


def histogram(
    name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = SECONDS_BUCKETS
) -> Declaration[Histogram]:
    return Declaration(partial(Histogram, name, meaning, labels, buckets=buckets))


GROUP_BATCH_ITEMS = histogram(
    "cafeteria_group_batch_items", "Items in one group commit", "group", buckets=BATCH_ITEMS_BUCKETS
)
GROUP_COMMIT_SECONDS = histogram("cafeteria_group_commit_seconds", "Duration of one group commit", "group")
GROUP_PENDING = gauge("cafeteria_group_pending", "Items that wait for a group commit or are in one", "group")
