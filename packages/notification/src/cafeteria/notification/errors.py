"""What notification refuses."""

from cafeteria.chassis.errors import InvalidRequest, ServiceError


class ImpossibleEvent(ServiceError):
    """A status event that no order can have; it is kept as a dead letter and the stream is read on."""


class BadCursor(InvalidRequest):
    def __init__(self) -> None:
        super().__init__("This cursor was not given out here; leave it away to begin with the newest.")
