"""No child outlives its supervisor, however that ends: by the kernel's own signal on Linux, elsewhere by a watcher.

The watcher (`orphan_watch`) reads a pipe that this process holds open until it ends. Each child registers itself on that pipe
before it becomes its program (`launch`), so that there is no moment in which it is not looked after.
"""

import atexit
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from cafeteria.local_stack import orphan_watch

NO_WATCH = -1
SCRIPT = str(Path(orphan_watch.__file__))


def has_parent_death_signal() -> bool:
    """Whether a process may ask the kernel for a signal at its parent's death: PR_SET_PDEATHSIG of prctl(2)."""
    return sys.platform == "linux"


class _Watcher:
    """In a session of its own: Ctrl-C and a signal to the supervisor's group do not reach it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - words of our own
            [sys.executable, "-I", "-S", SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        atexit.register(self._close)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def pipe(self) -> int:
        assert self._process.stdin  # noqa: S101 - it was asked for above
        return self._process.stdin.fileno()

    def forget(self, pid: int) -> None:
        assert self._process.stdin  # noqa: S101 - the same
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"%d 0\n" % pid)

    def _close(self) -> None:
        self._process.communicate()


_watchers: list[_Watcher] = []
"""The one of this process, once a child has needed it."""


def watch_pipe() -> int:
    """The descriptor on which a child of this process registers itself, or NO_WATCH where the kernel does it."""
    if has_parent_death_signal():
        return NO_WATCH
    if not (_watchers and _watchers[-1].is_running):
        _watchers[:] = [_Watcher()]
    return _watchers[-1].pipe


def forget(pid: int) -> None:
    """It has ended and was waited for: from now on its number may be another's."""
    for watcher in _watchers:
        watcher.forget(pid)
