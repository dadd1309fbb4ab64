"""Reads what the request boundary has counted into a snapshot. The boundary itself does nothing for it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.samples import Sample

from cafeteria.chassis.http.request_boundary import REQUESTS, SECONDS
from cafeteria.chassis.observability.pulse import Durations, Route, Snapshot, together

_REFUSED = "503"


class Answers(NamedTuple):
    """The answers of one route that a service wants to be counted: those with one of `statuses`."""

    method: str
    route: str
    statuses: frozenset[int]

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether the counter with these labels counts such answers."""
        is_of_route = labels["route"] == self.route and labels["method"] == self.method
        return is_of_route and int(labels["status"]) in self.statuses


def read_snapshot(
    registry: CollectorRegistry,
    *,
    at: datetime,
    clock_s: float,
    quiet_routes: frozenset[str],
    counted: Mapping[str, Answers],
) -> Snapshot:
    """Read the sums since the start of the process, without those of `quiet_routes`."""
    routes = _durations(registry, quiet_routes)
    statuses = list(_samples(REQUESTS.metric(registry).collect(), "_total", quiet_routes))
    errors = [each for each in statuses if each.labels["status"].startswith("5")]
    return Snapshot(
        at=at,
        clock_s=clock_s,
        routes=routes,
        everything=together(routes.values()),
        refused=sum(each.value for each in errors if each.labels["status"] == _REFUSED),
        failed=sum(each.value for each in errors if each.labels["status"] != _REFUSED),
        counted={
            name: sum(each.value for each in statuses if answers.has(each.labels))
            for name, answers in counted.items()
        },
    )


def _durations(registry: CollectorRegistry, quiet_routes: frozenset[str]) -> dict[Route, Durations]:
    metrics = list(SECONDS.metric(registry).collect())
    within: defaultdict[Route, list[float]] = defaultdict(list)
    for sample in _samples(metrics, "_bucket", quiet_routes):
        within[_route_of(sample)].append(sample.value)
    return {
        _route_of(sample): Durations(total_s=sample.value, within=tuple(within[_route_of(sample)]))
        for sample in _samples(metrics, "_sum", quiet_routes)
    }


def _route_of(sample: Sample) -> Route:
    return sample.labels["route"], sample.labels["method"]


def _samples(metrics: Iterable[Metric], suffix: str, quiet_routes: frozenset[str]) -> Iterator[Sample]:
    return (
        sample
        for metric in metrics
        for sample in metric.samples
        if sample.name.endswith(suffix) and sample.labels["route"] not in quiet_routes
    )
