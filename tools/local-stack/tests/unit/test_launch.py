"""What a program is started with: room for the files that it opens, as far as the system gives it."""

import os
import resource
import subprocess
import sys

import pytest

from cafeteria.local_stack import launch, parent_death
from cafeteria.local_stack.child import LAUNCHER

UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [
        pytest.param(256, UNLIMITED, 10_240, id="a terminal of macOS"),
        pytest.param(1_024, 1_048_576, 10_240, id="Linux"),
        pytest.param(1_024, 4_096, 4_096, id="a low limit that is not ours to lift"),
        pytest.param(65_536, 1_048_576, 65_536, id="more is there already"),
        pytest.param(UNLIMITED, UNLIMITED, UNLIMITED, id="no limit"),
    ],
)
def test_a_process_may_open_as_many_files_as_it_needs(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, then: int
) -> None:
    limits = {resource.RLIMIT_NOFILE: (soft, hard)}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    launch.allow_descriptors()
    assert limits == {resource.RLIMIT_NOFILE: (then, hard)}


def test_a_system_that_refuses_more_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, UNLIMITED))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    launch.allow_descriptors()


def test_a_program_has_them() -> None:
    few = 'ulimit -S -n 256 && exec "$@"'
    watch = parent_death.watch_pipe()
    words = ("9", str(os.getpid()), str(watch), "-1", "-1", "0")
    code = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    said = subprocess.run(
        ["sh", "-c", few, "sh", sys.executable, "-I", "-S", LAUNCHER, *words, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        pass_fds=() if watch == parent_death.NO_WATCH else (watch,),
    )
    soft, hard = map(int, said.stdout.split())
    assert soft == (launch.DESCRIPTORS if hard == UNLIMITED else min(launch.DESCRIPTORS, hard))
