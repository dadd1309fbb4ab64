"""Figures that only Linux reports are 0 or left out on other systems, and nothing fails without them."""

import os
import resource
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cafeteria.bench import machine, stream_client

MACOS = SimpleNamespace(user=30.0, nice=0.0, system=10.0, idle=60.0)
"""All the fields of psutil's CPU times on macOS."""


def test_stolen_time_is_zero_where_the_system_does_not_count_it(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((MACOS, SimpleNamespace(user=31.0, nice=0.0, system=11.0, idle=62.0)))
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(times))
    usage = machine.Meter({}).read()
    assert usage.steal == 0
    assert usage.others == pytest.approx(0.5, abs=0.02)


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="there is no /proc/stat to compare with")
def test_cpu_times_of_the_machine_come_from_the_kernel() -> None:
    ticks = Path("/proc/stat").read_text().split()[1:9]
    seconds = [int(number) / os.sysconf("SC_CLK_TCK") for number in ticks]
    assert list(machine._machine_s().values()) == pytest.approx(seconds, rel=0.01, abs=2)


def test_cores_are_all_of_the_machine_where_a_process_has_no_limit_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert machine.cores() == os.cpu_count()


@pytest.mark.parametrize(
    ("hard", "allowed"), [pytest.param(resource.RLIM_INFINITY, 10_240, id="macOS"), (20_000, 20_000)]
)
def test_the_limit_of_descriptors_is_10240_on_a_system_without_a_maximum(
    monkeypatch: pytest.MonkeyPatch, hard: int, allowed: int
) -> None:
    limits = {resource.RLIMIT_NOFILE: (256, hard)}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    assert stream_client.allow_descriptors() == allowed
    assert limits == {resource.RLIMIT_NOFILE: (allowed, hard)}
