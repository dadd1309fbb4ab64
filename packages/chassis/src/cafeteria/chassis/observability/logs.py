"""One JSON object per line on standard output. Never a body, a token, a cookie, a key or a query string.

Events are `noun_verbed`. The facts bound at the boundary of a request are in every line until it ends. Lines of the
libraries' own loggers have the same shape, as `library_logged`.
"""

import io
import json
import logging
import re
import sys
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import msgspec
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars, merge_contextvars
from structlog.processors import JSONRenderer, TimeStamper, add_log_level, format_exc_info
from structlog.stdlib import ProcessorFormatter, add_logger_name
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from cafeteria.chassis.observability import tracing
from cafeteria.chassis.runtime.settings import LogFormat, LogLevel

Logger = FilteringBoundLogger

QUIET_LIBRARIES = ("nats", "sqlalchemy", "alembic", "asyncio", "litestar", "httpx", "httpcore")
"""Their INFO lines repeat our own; of these and of uvicorn, lines from WARNING on are kept."""


def get_logger() -> Logger:
    return cast("Logger", structlog.get_logger())


def rebind(**values: Any) -> None:
    """Bind facts to every further line of this task, in place of all inherited facts. For a boundary's start."""
    clear_contextvars()
    bind_contextvars(**values)


def bind(**values: Any) -> None:
    """Bind further facts to the lines of this task. Never a text as the client sent it."""
    bind_contextvars(**values)


def request_id() -> str | None:
    """The id of the current request; None outside of requests."""
    value = get_contextvars().get("request_id")
    return value if isinstance(value, str) else None


def configure_logs(service: str, *, level: LogLevel, log_format: LogFormat) -> None:
    """Set up the process's logs. Only the process's entry point calls this, never an app or a test."""
    number = getattr(logging, level.name)
    # whatever the locale: a letter that it lacks must not cost the line
    cast("io.TextIOWrapper", sys.stdout).reconfigure(encoding="utf-8", errors="backslashreplace")
    pipeline = _json_pipeline(service) if log_format is LogFormat.JSON else _console_pipeline()
    structlog.configure(
        processors=[*pipeline.prepare, pipeline.render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=pipeline.factory,
        cache_logger_on_first_use=True,
    )
    _route_libraries(number, pipeline)


class _Pipeline(NamedTuple):
    """`render` makes what the loggers of `factory` write; `render_text`, the same for the standard library's handler."""

    prepare: list[Processor]
    render: Processor
    render_text: Processor
    factory: Callable[..., WrappedLogger]


def _json_pipeline(service: str) -> _Pipeline:
    return _Pipeline(
        prepare=[
            merge_contextvars,
            add_log_level,
            TimeStamper(fmt="iso", utc=True, key="at"),
            _name_origin(service),
            format_exc_info,
        ],
        render=JSONRenderer(serializer=_as_bytes),
        render_text=JSONRenderer(serializer=_as_text),
        factory=structlog.BytesLoggerFactory(),
    )


def _console_pipeline() -> _Pipeline:
    """Without what a terminal shows elsewhere, the day and the service; request_id is enough to follow an order."""
    render = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        timestamp_key="at",
        sort_keys=False,
    )
    return _Pipeline(
        prepare=[
            merge_contextvars,
            _escape_values,
            add_log_level,
            TimeStamper(fmt="%H:%M:%S.%f", utc=True, key="at"),
        ],
        render=render,
        render_text=render,
        factory=structlog.WriteLoggerFactory(),
    )


def _name_origin(service: str) -> Processor:
    def name_origin(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        line.setdefault("service", service)
        trace_id = tracing.trace_id()
        if trace_id:
            line["trace_id"] = trace_id
        return line

    return name_origin


_encoder = msgspec.json.Encoder(enc_hook=str)

_DEL = b"\x7f"
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that end a line for some readers, move a terminal's cursor, or turn the direction: escaped in every line."""


def _escaped(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape_values(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """For the console, which writes values as they are. A traceback has lines of its own."""
    return {
        key: _escaped(value) if isinstance(value, str) and key != "exception" else value
        for key, value in line.items()
    }


def _as_bytes(line: EventDict, **_: Any) -> bytes:
    # people look for these three first
    line = {"at": line.pop("at"), "level": line.pop("level"), "event": line.pop("event", ""), **line}
    try:
        encoded = _encoder.encode(line)
        # what is left after the encoder's own escapes is rare: nearly every line is plain ASCII
        return encoded if encoded.isascii() and _DEL not in encoded else _escaped(encoded.decode()).encode()
    except (TypeError, ValueError, msgspec.MsgspecError):
        # a log line must not fail its request: the standard library escapes what is no text
        return json.dumps(line, default=str, skipkeys=True).encode()


def _as_text(line: EventDict, **_: Any) -> str:
    return _as_bytes(line).decode()


class AlreadyLogged(Exception):
    """Raised to break a connection when the log already has the cause."""


def _route_libraries(level: int, pipeline: _Pipeline) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_is_unlogged)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[_as_library_line, add_logger_name, *pipeline.prepare],
            processors=[ProcessorFormatter.remove_processors_meta, pipeline.render_text],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in (*QUIET_LIBRARIES, "uvicorn", "uvicorn.error"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(level, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True


def _is_unlogged(record: logging.LogRecord) -> bool:
    """The canceller logs a cancellation."""
    return not (record.exc_info and isinstance(record.exc_info[1], AlreadyLogged | CancelledError))


def _as_library_line(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    line["message"], line["event"] = line["event"], "library_logged"
    return line
