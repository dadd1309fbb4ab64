"""One JSON object per line on standard output. Never a body, a token, a cookie, a key or a query string.

Events are `noun_verbed`. The facts bound at the boundary of a request or message (request_id, order_id, message_id)
are in every line until it ends. Lines of the libraries' own loggers have the same shape, as `library_logged`.
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

from cafeteria.chassis.observability import tracing
from cafeteria.chassis.runtime.settings import LogFormat, LogLevel

Logger = FilteringBoundLogger

QUIET_LIBRARIES = ("nats", "sqlalchemy", "alembic", "asyncio", "litestar", "httpx", "httpcore")
"""Their INFO lines repeat our own; of these and of uvicorn, lines from WARNING on are kept."""

_LEVELS = {"exception": "error", "warn": "warning"}
_bound: ContextVar[Mapping[str, Any]] = ContextVar("log_context", default=MappingProxyType({}))


def get_logger() -> Logger:
    return cast("Logger", structlog.get_logger())


def rebind(**values: Any) -> None:
    """Bind facts to every further line of this task, in place of all inherited facts. For a boundary's start."""
    _bound.set(values)


def request_id() -> str | None:
    """The id of the current request; None outside of requests."""
    value = _bound.get().get("request_id")
    return value if isinstance(value, str) else None


def configure_logs(service: str, *, level: LogLevel, log_format: LogFormat) -> None:
    """Set up the process's logs. Only the process's entry point calls this, never an app or a test."""
    number = getattr(logging, level.name)
    if log_format is LogFormat.JSON:
        factory: Any = lambda *_: LINES  # noqa: E731 - structlog asks for a factory
        processors: list[Processor] = [_as_json(service)]
    else:
        factory = structlog.PrintLoggerFactory(sys.stdout)
        processors = [_enriched(service), _shortened, _console()]
    structlog.configure(
        processors=processors,
        wrapper_class=_fast(number, processors[0]) if log_format is LogFormat.JSON else _filtering(number),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    _route_libraries(number)


def _filtering(level: int) -> Any:
    return structlog.make_filtering_bound_logger(level)


def _fast(level: int, render: Processor) -> Any:
    """A logger that skips structlog's processor chain at INFO, the level of most lines: a third less time."""
    filtering = _filtering(level)
    if level > logging.INFO:
        return filtering

    class Fast(filtering):  # type: ignore[valid-type,misc]  # built for the level
        def info(self, event: str, **facts: Any) -> None:
            self._logger.msg(render(self._logger, "info", {"event": event, **self._context, **facts}))

    return Fast


class Lines:
    """Writes the lines of one iteration of the event loop together: a system call costs as much as making a line.

    Errors, and lines that are logged outside of a loop, are written at once.
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
"""One for the process, because it has one standard output."""


def _enriched(service: str) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    """Add the fields of every line. One step replaces structlog's four, because every request writes a line."""

    def enrich(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        trace_id = tracing.trace_id()
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
    """Drop what a terminal shows elsewhere, the day and the service; request_id is enough to follow an order."""
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
    """Raised to break a connection when the log already has the cause."""


class _LibraryHandler(logging.Handler):
    """Passes the libraries' log records to our own logger, but for cancellations, which the canceller logs."""

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
    root.handlers[:] = [_LibraryHandler()]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in (*QUIET_LIBRARIES, "uvicorn", "uvicorn.error"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(level, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True
