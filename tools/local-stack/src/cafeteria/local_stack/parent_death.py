"""Ends every child when its supervisor dies: by a signal of the kernel on Linux, elsewhere by a watcher process.

The watcher (`orphan_watch`) reads a pipe that this process keeps open until it ends. Each child registers on that pipe
before it becomes its program (`launch`), so no child is ever unregistered.
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
    """Whether the kernel can signal a process at its parent's death: PR_SET_PDEATHSIG of prctl(2)."""
    return sys.platform == "linux"


class _Watcher:
    """The watcher process, in a session of its own: Ctrl-C and signals to the supervisor's group do not reach it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the arguments are constants
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
        assert self._process.stdin  # noqa: S101 - opened by `__init__`
        return self._process.stdin.fileno()

    def forget(self, pid: int) -> None:
        assert self._process.stdin  # noqa: S101 - opened by `__init__`
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"%d 0\n" % pid)

    def _close(self) -> None:
        self._process.communicate()


_watchers: list[_Watcher] = []
"""The watcher of this process, once a child has needed it."""


def watch_pipe() -> int:
    """Return the descriptor on which a child registers, or NO_WATCH where the kernel sends the signal."""
    if has_parent_death_signal():
        return NO_WATCH
    if not (_watchers and _watchers[-1].is_running):
        _watchers[:] = [_Watcher()]
    return _watchers[-1].pipe


def forget(pid: int) -> None:
    """Unregister a reaped child, because the system may give its pid to another process."""
    for watcher in _watchers:
        watcher.forget(pid)
