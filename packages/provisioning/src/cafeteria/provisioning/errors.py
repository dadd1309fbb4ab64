"""What a person at the terminal is told: one sentence, what is wrong and what to do, never a traceback."""

from typing import ClassVar


class StackError(Exception):
    """The stack cannot go on; its text is shown as it is."""

    exit_code: ClassVar[int] = 1


class SettingError(StackError):
    """What a person set or named cannot be used; the text names it."""

    exit_code: ClassVar[int] = 2


class ServerAwayError(StackError):
    """A server does not answer, or not yet."""
