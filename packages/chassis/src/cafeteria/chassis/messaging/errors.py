"""The errors of the bus. A time-out means that the outcome is unknown, never that it is "no"."""

from cafeteria.chassis.runtime.errors import Unavailable


class NoAnswer(Unavailable):
    """The reply did not arrive before the deadline, or the connection is down: the peer may or may not have acted."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"No answer on {subject} in time.")


class NoResponder(NoAnswer):
    """The subject has no subscriber now; the request was not delivered."""


class PeerRefused(Unavailable):
    """The peer answered with an error, for instance because its database is unavailable."""

    def __init__(self, subject: str, *, code: str, description: str) -> None:
        super().__init__(f"{subject} answered {code}: {description}")
        self.peer_code = code


class NotStored(Unavailable):
    """JetStream did not acknowledge every message. `stored_rows` are stored; resending the others is safe."""

    def __init__(self, reason: str, *, stored_rows: tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.stored_rows = stored_rows
