"""What notification refuses."""

from cafeteria.chassis.errors import ServiceError


class ImpossibleEvent(ServiceError):
    """A status event that no order can have; it is kept as a dead letter and the stream is read on."""
