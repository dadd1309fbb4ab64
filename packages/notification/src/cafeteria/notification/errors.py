"""The refusals of notification."""

from cafeteria.chassis.runtime.errors import LimitReached, ServiceError, Unauthenticated, Unavailable

STREAMS_RETRY_AFTER_S = 75
"""By then a stream whose client has lost its network gives its place back: the next heartbeat is written within fifteen
seconds, and must be acknowledged within sixty."""


class ImpossibleEvent(ServiceError):
    """No order can have this status event. It is stored as a dead letter, and reading continues."""


class StreamTokenExpired(Unauthenticated):
    """A stream ends with its token, so none begins after that; other requests allow for clocks that differ."""

    def __init__(self) -> None:
        super().__init__(
            "The access token has expired, and the stream ended with it: refresh the token and open the stream"
            " again with the last event id.",
            challenge='Bearer realm="cafeteria", error="invalid_token"',
        )


class StreamsReached(LimitReached):
    """The student's other streams stay open and show every event."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(
            f"You have {limit} event streams open, which is the most; they go on as before. Close a page that shows"
            " your orders, and open this one again.",
            retry_after_s=STREAMS_RETRY_AFTER_S,
        )


class LogSetBack(Unavailable):
    """The log ends before this process's last commit: the database was restored from a backup. The batch is retried."""

    def __init__(self, position: int) -> None:
        super().__init__(f"The log was set back to position {position}.")
