"""The error of a database that cannot be used now. It needs no driver, so that group commits need none."""

from cafeteria.chassis.runtime.errors import Unavailable

UNREACHABLE_DETAIL = "The database does not answer just now."


class DatabaseUnavailable(Unavailable):
    """The database cannot be used now; the requested change may or may not have happened."""

    def __init__(self, detail: str = UNREACHABLE_DETAIL) -> None:
        super().__init__(detail)
