"""The settings of the embedded Postgres fit machines with little memory."""

import sys
from pathlib import Path

import pytest

from cafeteria.local_stack import postgres_settings
from cafeteria.local_stack.postgres_settings import render_settings, shared_memory_type

ENOUGH_MEMORY = (
    "max_connections = 100\t\t\t# (change requires restart)\nshared_buffers = 128MB\n#autovacuum = on\n"
)


def rendered(tmp_path: Path, initdbs: str) -> dict[str, str]:
    (tmp_path / "postgresql.conf").write_text(initdbs)
    lines = render_settings(tmp_path / "postgresql.conf", port=5000).splitlines()
    return dict(line.split(" = ", 1) for line in lines)


def test_a_machine_with_enough_memory_gets_the_stacks_settings(tmp_path: Path) -> None:
    settings = rendered(tmp_path, ENOUGH_MEMORY)
    assert settings["shared_buffers"] == "256MB"
    assert settings["max_connections"] == "100"
    assert settings["port"] == "5000"


def test_lower_limits_of_initdb_are_kept(tmp_path: Path) -> None:
    settings = rendered(tmp_path, "max_connections = 40\nshared_buffers = 16MB\n")
    assert settings["shared_buffers"] == "16MB"
    assert settings["max_connections"] == "40"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such folder")
def test_without_enough_shared_memory_postgres_uses_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_settings, "_SHARED_MEMORY", tmp_path / "absent")
    assert shared_memory_type() == "mmap"
    tmp_path.chmod(0o755)
    monkeypatch.setattr(postgres_settings, "_SHARED_MEMORY", tmp_path)
    assert shared_memory_type() == "mmap"
    tmp_path.chmod(0o1777)
    assert shared_memory_type() == "posix"
    monkeypatch.setattr(postgres_settings, "_SHARED_MEMORY_MIN_BYTES", 1 << 60)
    assert shared_memory_type() == "mmap"
    assert rendered(tmp_path, ENOUGH_MEMORY)["dynamic_shared_memory_type"] == "mmap"
