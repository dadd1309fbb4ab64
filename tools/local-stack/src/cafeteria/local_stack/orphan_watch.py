"""Ends what a killed supervisor has left behind, where the kernel sends nobody a signal at a parent's death.

Run as a script by `parent_death`, one for each supervisor. Lines on standard input are `<pid> <signal>`: what that process is
to be sent once the supervisor is gone; signal 0 takes it off the list, for it has ended. The pipe's end of file is the
supervisor's: the kernel closes the pipe however the supervisor ends.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress


def main(lines: Iterable[bytes]) -> None:
    signals: dict[int, int] = {}
    for line in lines:
        pid, number = map(int, line.split())
        signals.pop(pid, None)
        if number:
            signals[pid] = number
    for pid, number in signals.items():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


if __name__ == "__main__":
    main(sys.stdin.buffer)
