"""Ends the children of a killed supervisor on systems whose kernel sends no signal at a parent's death.

`parent_death` runs it as a script, one per supervisor. A line on standard input, `<pid> <signal>`, names the signal
for a process after the supervisor's end; signal 0 removes an ended process from the list. The pipe reaches end of
file with the supervisor, because the kernel closes the pipe however the supervisor ends.
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
