"""Errors that a terminal shows as one sentence without a traceback: what is wrong and what to do."""

from typing import ClassVar


class StackError(Exception):
    """The stack cannot continue. The command prints the text and exits with `exit_code`."""

    exit_code: ClassVar[int] = 1


class SettingError(StackError):
    """A setting or a folder is unusable; the text names it."""

    exit_code: ClassVar[int] = 2


class ServerUnavailableError(StackError):
    """A server does not answer or is still starting, so a retry may succeed."""
