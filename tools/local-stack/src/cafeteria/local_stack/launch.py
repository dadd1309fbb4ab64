"""Replaces itself by another program that cannot outlive the process that started it.

`child.spawn` runs it as a script, `python -I -S launch.py <death signal> <parent> <watch> <uid> <gid> <niceness>
<program> [argument …]`, because a fork that runs Python in a process with threads may hang; this one is a new
interpreter. `watch` is the pipe of `parent_death`, or -1 where the kernel sends the death signal. The kernel drops
that signal when a process changes its user, so this changes the user first. uid -1 keeps the user.
"""

import ctypes
import os
import resource
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # linux/prctl.h
DESCRIPTORS = 10_240
"""OPEN_MAX of macOS, whose terminals allow 256; most Linux systems allow 1,024. Each open event stream takes one."""


def main(arguments: list[str]) -> None:
    death_signal, parent, watch, uid, gid, niceness = (int(number) for number in arguments[:6])
    allow_descriptors()
    if niceness:
        yield_to_other_sessions(niceness)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if watch >= 0:
        _register(watch, death_signal)
    else:
        _ask_kernel_for(death_signal)
    if os.getppid() != parent:  # it died before the request above, so no signal will come
        sys.exit(1)
    program = arguments[6:]
    os.execv(program[0], program)  # noqa: S606 - replacing this process is the purpose


def allow_descriptors() -> None:
    """Raise the limit of open files to DESCRIPTORS for this process and its children, if the system permits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def yield_to_other_sessions(niceness: int) -> None:
    """Set the session's niceness: Linux may share processors among sessions and ignore a thread's own."""
    with suppress(OSError), open("/proc/self/autogroup", "w") as autogroup:  # noqa: PTH123 - pathlib takes 10 ms to import
        autogroup.write(str(niceness))


def _register(watch: int, death_signal: int) -> None:
    """Register with the watcher. The pipe stays open until exec, so the watcher cannot end before it has read this."""
    os.set_inheritable(watch, False)
    os.write(watch, b"%d %d\n" % (os.getpid(), death_signal))


def _ask_kernel_for(death_signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


if __name__ == "__main__":
    main(sys.argv[1:])
