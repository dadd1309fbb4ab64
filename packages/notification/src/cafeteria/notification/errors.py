"""What notification refuses."""

from cafeteria.chassis.runtime.errors import ServiceError, Unauthenticated, Unavailable


class ImpossibleEvent(ServiceError):
    """A status event that no order can have; it is kept as a dead letter and the stream is read on."""


class StreamTokenExpired(Unauthenticated):
    """Other requests allow for clocks that differ; a stream ends with its token, so none begins after that."""

    def __init__(self) -> None:
        super().__init__(
            "The access token has expired, and the stream ended with it: refresh the token and open the stream"
            " again with the last event id.",
            challenge='Bearer realm="cafeteria", error="invalid_token"',
        )


class LogSetBack(Unavailable):
    """The log ends before this process's last commit: the database was restored from a backup. The batch is retried."""

    def __init__(self, position: int) -> None:
        super().__init__(f"The log was set back to position {position}.")
