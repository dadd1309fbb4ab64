"""What a person at the terminal is told: one sentence, what is wrong and what to do, never a traceback."""


class StackError(Exception):
    """The stack cannot go on; its text is shown as it is."""


class ServerAwayError(StackError):
    """A server does not answer, or not yet."""
