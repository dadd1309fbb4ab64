"""Becomes another program that cannot outlive the one that started it.

Run as a script, `python -I -S launch.py <death signal> <parent> <uid> <gid> <niceness> <program> [argument …]`, because
a fork that runs Python in a process with threads may hang, and this one starts afresh. The kernel forgets
the death signal when a process changes its user, so the user comes first. uid -1 keeps the user.
"""

import ctypes
import os
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    death_signal, parent, uid, gid, niceness = (int(number) for number in arguments[:5])
    if niceness:
        _yield_to_other_sessions(niceness)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        _die_with_parent(death_signal, parent)
    program = arguments[5:]
    os.execv(program[0], program)  # noqa: S606 - becoming that program is what this is for


def _yield_to_other_sessions(niceness: int) -> None:
    """Where the kernel shares the processor among sessions, a thread's own niceness counts within its session alone."""
    with suppress(OSError), open("/proc/self/autogroup", "w") as autogroup:  # noqa: PTH123 - pathlib takes 10 ms to import
        autogroup.write(str(niceness))


def _die_with_parent(death_signal: int, parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the request above: nobody will send that signal
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
