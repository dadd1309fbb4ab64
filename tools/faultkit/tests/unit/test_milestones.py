"""Progress lines appear only where no bar can move, and not more often than requested."""

from io import StringIO

from rich.console import Console

from cafeteria.faultkit.milestones import Milestones


def lines(*, terminal: bool, every_s: float) -> list[str]:
    written = StringIO()
    milestones = Milestones(Console(file=written, force_terminal=terminal), every_s=every_s)
    for number in range(3):
        milestones.passed(f"{number} of 3 points")
    return written.getvalue().splitlines()


def test_a_pipe_gets_progress_lines() -> None:
    assert lines(terminal=False, every_s=0.0) == ["0 of 3 points", "1 of 3 points", "2 of 3 points"]


def test_no_line_is_printed_before_its_interval_is_over() -> None:
    assert lines(terminal=False, every_s=60.0) == []


def test_a_terminal_gets_a_bar_and_no_lines() -> None:
    assert lines(terminal=True, every_s=0.0) == []
