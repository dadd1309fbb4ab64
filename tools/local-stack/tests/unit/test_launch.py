"""A program starts with enough file descriptors, as far as the system permits."""

import os
import resource
import subprocess
import sys

import pytest

from cafeteria.local_stack import launch, parent_death
from cafeteria.local_stack.child import LAUNCHER

UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        pytest.param(256, UNLIMITED, 10_240, id="a terminal of macOS"),
        pytest.param(1_024, 1_048_576, 10_240, id="Linux"),
        pytest.param(1_024, 4_096, 4_096, id="a low hard limit"),
        pytest.param(65_536, 1_048_576, 65_536, id="a higher limit"),
        pytest.param(UNLIMITED, UNLIMITED, UNLIMITED, id="no limit"),
    ],
)
def test_the_soft_limit_rises_to_the_needed_number(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int
) -> None:
    limits = {resource.RLIMIT_NOFILE: (soft, hard)}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    launch.allow_descriptors()
    assert limits == {resource.RLIMIT_NOFILE: (expected, hard)}


def test_a_system_that_refuses_a_higher_limit_causes_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, UNLIMITED))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    launch.allow_descriptors()


def test_a_launched_program_has_the_raised_limit() -> None:
    lower_limit = 'ulimit -S -n 256 && exec "$@"'
    watch = parent_death.watch_pipe()
    arguments = ("9", str(os.getpid()), str(watch), "-1", "-1", "0")
    code = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    finished = subprocess.run(
        [
            "sh",
            "-c",
            lower_limit,
            "sh",
            sys.executable,
            "-I",
            "-S",
            LAUNCHER,
            *arguments,
            sys.executable,
            "-c",
            code,
        ],
        capture_output=True,
        text=True,
        check=True,
        pass_fds=() if watch == parent_death.NO_WATCH else (watch,),
    )
    soft, hard = map(int, finished.stdout.split())
    assert soft == (launch.DESCRIPTORS if hard == UNLIMITED else min(launch.DESCRIPTORS, hard))
