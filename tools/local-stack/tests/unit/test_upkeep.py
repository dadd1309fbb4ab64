"""Upkeep rotates logs under a running writer and warns before a disk is full."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cafeteria.local_stack import upkeep
from cafeteria.local_stack.upkeep import LOGS_KEPT, LOW_FILES, LOW_SPACE_BYTES, DiskSpace, rotate_logs


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(upkeep, "LOG_MAX_BYTES", 1000)
    return tmp_path / "gateway.log"


def test_a_long_log_is_rotated_and_its_writer_continues(log: Path) -> None:
    with log.open("ab", buffering=0) as writer:  # as a server opens it
        for number in range(LOGS_KEPT + 3):
            writer.write(f"{number}\n".encode() * 501)
            rotate_logs(log.parent)
        writer.write(b"last\n")
    assert log.read_text() == "last\n"
    assert sorted(path.name for path in log.parent.iterdir()) == [
        log.name,
        *(f"{log.name}.{number}" for number in range(1, LOGS_KEPT + 1)),
    ]
    newest_first = [
        log.with_name(f"{log.name}.{number}").read_text()[0] for number in range(1, LOGS_KEPT + 1)
    ]
    assert newest_first == ["5", "4", "3"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in log.parent.glob("*.log.*")} == {0o600}


def test_a_short_log_and_a_link_are_not_rotated(log: Path) -> None:
    log.write_bytes(b"x" * 1000)
    elsewhere = log.parent / "elsewhere.txt"
    elsewhere.write_bytes(b"x" * 5000)
    (log.parent / "stock.log").symlink_to(elsewhere)
    rotate_logs(log.parent)
    assert sorted(path.name for path in log.parent.iterdir()) == ["elsewhere.txt", log.name, "stock.log"]


def test_a_rotation_on_a_full_disk_is_logged_and_loses_nothing(
    log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    log.write_bytes(b"x" * 2000)
    monkeypatch.setattr("shutil.copyfileobj", full)
    rotate_logs(log.parent)
    assert "No space left on device" in caplog.text
    assert [path.name for path in log.parent.iterdir()] == [log.name]
    assert log.stat().st_size == 2000


class Disk:
    """The result of `os.statvfs` for a single disk."""

    def __init__(self, *, free: int, files: int = 1_000_000) -> None:
        self.f_bavail, self.f_frsize, self.f_files, self.f_favail = free, 1, 2_000_000, files


def checks(disk_space: DiskSpace, monkeypatch: pytest.MonkeyPatch, *disks: Disk) -> Iterator[None]:
    for disk in disks:
        monkeypatch.setattr(os, "statvfs", lambda _place, disk=disk: disk)
        disk_space.check()
        yield


def test_a_nearly_full_disk_is_logged_once_and_again_at_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    low = LOW_SPACE_BYTES - 1
    disk_space = DiskSpace([tmp_path, tmp_path / "not" / "there yet"])
    warnings = [
        len(caplog.records)
        for _ in checks(
            disk_space,
            monkeypatch,
            *(Disk(free=LOW_SPACE_BYTES), Disk(free=low), Disk(free=low * 3 // 4), Disk(free=low // 3)),
            *(Disk(free=LOW_SPACE_BYTES), Disk(free=low)),
        )
    ]
    assert warnings == [0, 1, 1, 2, 2, 3]
    assert "nearly full (2.0 GiB left)" in caplog.text
    assert str(tmp_path) in caplog.text


def test_a_disk_without_free_inodes_counts_as_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    list(checks(DiskSpace([tmp_path]), monkeypatch, Disk(free=1 << 40, files=LOW_FILES - 1)))
    assert "nearly full" in caplog.text
