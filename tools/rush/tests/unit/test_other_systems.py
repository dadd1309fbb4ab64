"""Figures and faults that only Linux has are replaced or left out on other systems, and nothing fails without them."""

import os
import runpy
import sys
from typing import Any

import psutil
import pytest

from cafeteria.rush import footprint
from cafeteria.rush.faults import disk


def test_a_process_that_denies_access_counts_with_all_its_resident_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = psutil.Process()

    def refuse(self: psutil.Process) -> Any:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", refuse)
    found = footprint._measure({"here": own.pid})["here"]
    assert found.private_bytes == pytest.approx(own.memory_info().rss, rel=0.1)


def test_a_file_system_in_memory_is_mounted_on_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not runpy.run_path(disk.__file__)["IS_POSSIBLE"]
