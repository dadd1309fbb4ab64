"""W3C trace context: one trace follows a request through HTTP, outbox rows and the bus.

The current traceparent is in a context variable, so that code that sends a message can pass it on.
"""

import re
from contextvars import ContextVar
from random import getrandbits

TRACE_ID_END = 35
"""A traceparent is `00-<32 hex: trace>-<16 hex: span>-<2 hex: flags>`; the trace id is [3:35]."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_VERSION_00_LENGTH = 55
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def current() -> str | None:
    return _current.get()


def trace_id() -> str | None:
    """The id that joins the log lines of one request over all services; None outside of a trace."""
    traceparent = _current.get()
    return traceparent[3:TRACE_ID_END] if traceparent else None


def enter(incoming: str | None) -> str:
    """Continue the trace that a caller sent, under a new span; without a valid one, start a trace."""
    traceparent = _next_span(incoming) if incoming else None
    if traceparent is None:
        traceparent = f"00-{getrandbits(128):032x}-{getrandbits(64):016x}-01"
    _current.set(traceparent)
    return traceparent


def _next_span(incoming: str) -> str | None:
    if not _TRACEPARENT.fullmatch(incoming):
        return None
    if incoming.startswith("00") and len(incoming) != _VERSION_00_LENGTH:
        return None
    return f"00-{incoming[3:TRACE_ID_END]}-{getrandbits(64):016x}-{incoming[53:55]}"
