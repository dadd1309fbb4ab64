"""Prints the progress of long work as a line at intervals, for a log or a pipe, where no bar can move."""

from time import monotonic

from rich.console import Console

EVERY_S = 30.0


class Milestones:
    """Prints at most one line every `every_s` seconds; silent on a terminal, where a bar shows the progress."""

    def __init__(self, console: Console, *, every_s: float = EVERY_S) -> None:
        self._console = console
        self._every_s = every_s
        self._printed_at = monotonic()

    def passed(self, sentence: str) -> None:
        if not self._console.is_terminal and monotonic() - self._printed_at >= self._every_s:
            self._printed_at = monotonic()
            self._console.print(sentence, highlight=False)
