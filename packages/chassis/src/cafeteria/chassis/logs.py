"""One JSON object per line on standard output. Never a body, a token, a cookie, a key or a query string.

Events are `noun_verbed`. What is bound at a door (request_id, order_id, message_id) stands in every line until the
door closes. The libraries' own loggers come out in the same shape as `library_logged`.
"""

import asyncio
import logging
import sys
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from cafeteria.chassis import trace
from cafeteria.chassis.settings import LogFormat, LogLevel

Logger = FilteringBoundLogger

QUIET_LIBRARIES = ("nats", "sqlalchemy", "alembic", "asyncio", "litestar", "httpx", "httpcore")
"""They say at INFO what our own lines say better; uvicorn's lines are kept from WARNING on too."""

_LEVELS = {"exception": "error", "warn": "warning"}
_bound: ContextVar[Mapping[str, Any]] = ContextVar("log_context", default=MappingProxyType({}))


def get_logger() -> Logger:
    return cast("Logger", structlog.get_logger())


def rebind(**values: Any) -> None:
    """At a door: these stand in every further line of this task, and what it inherited, another's, in none."""
    _bound.set(values)


def request_id() -> str | None:
    """Of the request that is being answered."""
    value = _bound.get().get("request_id")
    return value if isinstance(value, str) else None


def configure_logs(service: str, *, level: LogLevel, log_format: LogFormat) -> None:
    """Set up the process's logs. Done by the process's entry point alone, never by an app or a test."""
    number = getattr(logging, level.name)
    if log_format is LogFormat.JSON:
        factory: Any = lambda *_: LINES  # noqa: E731 - structlog asks for a factory
        processors: list[Processor] = [_as_json(service)]
    else:
        factory = structlog.PrintLoggerFactory(sys.stdout)
        processors = [_enriched(service), _shortened, _console()]
    structlog.configure(
        processors=processors,
        wrapper_class=_quick(number, processors[0]) if log_format is LogFormat.JSON else _filtering(number),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    _route_libraries(number)


def _filtering(level: int) -> Any:
    return structlog.make_filtering_bound_logger(level)


def _quick(level: int, render: Processor) -> Any:
    """At INFO, where a line is written for every request and every message, past structlog's chain of one: a third less."""
    filtering = _filtering(level)
    if level > logging.INFO:
        return filtering

    class Quick(filtering):  # type: ignore[valid-type,misc]  # made for the level
        def info(self, event: str, **facts: Any) -> None:
            self._logger.msg(render(self._logger, "info", {"event": event, **self._context, **facts}))

    return Quick


class Lines:
    """Writes the lines of one round of the event loop together: a system call for each costs as much as making it.

    Errors, and what is said outside of a loop, are written at once.
    """

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def msg(self, line: bytes) -> None:
        if not self._waiting:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self._write([line])
                return
        self._waiting.append(line)

    def msg_now(self, line: bytes) -> None:
        self._waiting.append(line)
        self.flush()

    debug = info = warning = warn = msg
    error = critical = exception = fatal = failure = err = log = msg_now

    def flush(self) -> None:
        lines, self._waiting = self._waiting, []
        if lines:
            self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        sys.stdout.buffer.write(b"\n".join((*lines, b"")))
        sys.stdout.buffer.flush()


LINES = Lines()
"""The process's own, as its standard output is."""


def _enriched(service: str) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    """Add what every line has. One step in place of structlog's four: a line is written for every request."""

    def enrich(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        trace_id = trace.trace_id()
        line = {
            "at": datetime.now(UTC),
            "level": _LEVELS.get(level, level),
            "event": event.pop("event", ""),
            "service": service,
        }
        if trace_id:
            line["trace_id"] = trace_id
        line.update(_bound.get())
        line.update(event)
        return line

    return enrich


def _as_json(service: str) -> Processor:
    enrich = _enriched(service)
    explain = structlog.processors.ExceptionRenderer()

    def render(logger: WrappedLogger, level: str, event: EventDict) -> bytes:
        line = enrich(logger, level, event)
        if "exc_info" in line:
            explain(logger, level, line)  # in place
        return _rendered(line)

    return render


_encoder = msgspec.json.Encoder(enc_hook=str)


def _rendered(line: EventDict) -> bytes:
    try:
        return _encoder.encode(line)
    except (TypeError, ValueError, msgspec.MsgspecError):
        # a log line must not fail its request; a key that is no text is the usual cause
        return _encoder.encode({str(key): repr(value) for key, value in line.items()})


def _shortened(_logger: WrappedLogger, _level: str, line: EventDict) -> EventDict:
    """Who reads a terminal sees the day and the service elsewhere, and follows an order by its request_id."""
    line["at"] = line["at"].strftime("%H:%M:%S.%f")[:-3]
    for name in ("service", "trace_id"):
        line.pop(name, None)
    return line


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        timestamp_key="at",
        sort_keys=False,
    )


class AlreadyLogged(Exception):
    """Ends what can only be ended by raising, when its cause stands in the log."""


class _IntoOurLines(logging.Handler):
    """Hands the libraries' log records to our own logger; that something was cancelled is said by who cancels."""

    def __init__(self) -> None:
        super().__init__()
        self._log = get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and isinstance(record.exc_info[1], AlreadyLogged | CancelledError):
            return
        self._log.log(
            record.levelno,
            "library_logged",
            logger=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info or None,
        )


def _route_libraries(level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_IntoOurLines()]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in (*QUIET_LIBRARIES, "uvicorn", "uvicorn.error"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(level, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True
