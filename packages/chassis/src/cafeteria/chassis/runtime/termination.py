"""End a process that cannot go on, as SIGTERM would, but non-zero, so that its supervisor starts another."""

import os
import signal

SIGNAL = signal.SIGUSR1
"""Only the process itself sends it. Without a handler it ends the process at once."""


def end_process() -> None:
    """Ask this process to stop; returns at once."""
    os.kill(os.getpid(), SIGNAL)
