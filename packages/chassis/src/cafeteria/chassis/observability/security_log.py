"""Write security events to the log and count them; a flood of lines that clients cause is thinned out."""

from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry

from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.security_events import SecurityEvent

EVENTS = metrics.counter(
    "cafeteria_security_events_total", "Security events, also those without a log line", "event"
)

LINES_PER_S = 10
"""Of each kind, for each process: at 400 bytes a line a flood of one kind writes 350 MB a day at most."""

_log = get_logger()


class LineLimit:
    """Lets LINES_PER_S lines of each kind through in a second. Kinds are few, and clients do not invent them."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._second = -1
        self._admitted: dict[Hashable, int] = {}
        self._left_out: dict[Hashable, int] = {}

    def admit(self, kind: Hashable) -> int | None:
        """None for a line to leave out; otherwise the number of lines of this kind left out before this one."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._admitted.clear()
        admitted = self._admitted.get(kind, 0)
        if admitted >= LINES_PER_S:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        self._admitted[kind] = admitted + 1
        return self._left_out.pop(kind, 0)


def log_security_event(event: SecurityEvent, *, subject: str, is_alarm: bool = False, **facts: Any) -> None:
    """Log an event in a line of its own. `subject` is the id of the account that it happened to.

    It has the `request_id` of its request's line, which names who asked for it and from which address.
    """
    EVENTS.labels(event).inc()
    write = _log.warning if is_alarm else _log.info
    write(event, security_event=event, subject=subject, **facts)


def count_security_event(event: SecurityEvent, registry: CollectorRegistry) -> None:
    """Count an event that is in the line of its request."""
    EVENTS.metric(registry).labels(event).inc()
