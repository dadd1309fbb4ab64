"""Metrics belong to an app, not to the process."""

import asyncio
from contextvars import copy_context
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest

from cafeteria.chassis.observability import metrics

EATEN = metrics.counter("probe_eaten_total", "Meals", "what")
HEAT = metrics.gauge("probe_heat", "Degrees")
COOKED = metrics.histogram("probe_cooked_seconds", "Cooking", "what", buckets=(1, 2))


def in_app(registry: CollectorRegistry) -> None:
    metrics.make_current(registry)
    EATEN.labels("soup").inc()
    HEAT.metric().set(180)
    COOKED.labels("soup").observe(1.5)


def test_two_apps_in_one_process_count_apart() -> None:
    first, second = metrics.app_registry(), metrics.app_registry()
    for registry in (first, first, second):
        copy_context().run(in_app, registry)
    assert first.get_sample_value("probe_eaten_total", {"what": "soup"}) == 2
    assert second.get_sample_value("probe_eaten_total", {"what": "soup"}) == 1


async def test_a_task_counts_in_the_app_that_started_it() -> None:
    registry = metrics.app_registry()

    async def eat() -> None:
        EATEN.labels("rice").inc()

    async def live() -> None:
        metrics.make_current(registry)
        await asyncio.create_task(eat())

    await asyncio.create_task(live())
    assert registry.get_sample_value("probe_eaten_total", {"what": "rice"}) == 1


def test_code_outside_any_app_may_count_too() -> None:
    copy_context().run(EATEN.labels("bread").inc)


def test_the_page_has_the_apps_metrics_and_the_processs() -> None:
    registry = metrics.app_registry()
    copy_context().run(in_app, registry)
    page = generate_latest(registry).decode()
    assert 'probe_cooked_seconds_bucket{le="2.0",what="soup"} 1.0' in page
    assert ("process_resident_memory_bytes" in page) == Path("/proc/self/stat").exists()
    assert "_created" not in page


def test_without_proc_the_page_lacks_only_the_processs_metrics(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(metrics, "ProcessCollector", partial(ProcessCollector, proc=str(tmp_path)))
    registry = metrics.app_registry()
    copy_context().run(in_app, registry)
    page = generate_latest(registry).decode()
    assert "probe_cooked_seconds_bucket" in page
    assert "process_" not in page
