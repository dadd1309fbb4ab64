"""A service as a process: start, serve, and stop without dropping a request that was read.

On SIGTERM or SIGINT the service accepts no new connections, ends event streams at once, answers every request whose
bytes it has read, closes the lifespan, and exits 0, all within three seconds. A process that cannot go on stops the
same way, and exits 1. Tests serve through the same path.
"""

import asyncio
import errno
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn, TypeVar

import uvloop
from prometheus_client import CollectorRegistry

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.http.connection_limits import REFUSED_AT_ONCE, ConnectionLimits
from cafeteria.chassis.http.descriptors import connections_allowed, raise_descriptor_limit
from cafeteria.chassis.http.uvicorn_server import ACCEPTED_AT_ONCE, HttpServer
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime import termination
from cafeteria.chassis.runtime.settings import ServiceSettings, SettingsError, load_settings

EXIT_FAILED = 1
EXIT_UNUSABLE_SETTINGS = 2

LEAVE_WITHIN_S = 2.8
"""From the signal to the exit. Work that waits for a silent server by then loses no more than by a kill."""

INTERNAL_CONNECTIONS = 32
"""For the few that read metrics, health and the schema."""

GC_AFTER_OBJECTS = 20_000
"""More than are alive for all requests in flight. After 700, Python's default, the collector mostly walks objects that
are still in use: 5 % of the gateway's CPU at full load."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
S = TypeVar("S", bound=ServiceSettings)
_log = logs.get_logger()


def run(service: str, create_app: Callable[[S], ServiceApp], settings_type: type[S]) -> None:
    """Run a service's process from start to exit. A failed start writes its reason to standard error, in a sentence."""
    try:
        settings = load_settings(settings_type)
        logs.configure_logs(service, level=settings.log_level, log_format=settings.log_format)
        raise_descriptor_limit()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            _exit(
                runner.run(
                    _run_until_stopped(create_app(settings), settings.host, settings.listen_port(service))
                )
            )
    except SettingsError as error:
        _exit_unusable(service, error.sentences)
    except _PortUnusable as error:
        _exit_unusable(service, (str(error),))
    except Exception as error:  # noqa: BLE001 - no caller is left, so the log gets it
        _log.critical("service_failed", exc_info=error)
        sys.exit(EXIT_FAILED)


def _cut_off(exit_code: int) -> NoReturn:
    _log.warning(
        "service_stop_cut_off",
        reason="Postgres or NATS did not answer in time; nothing depends on the answer.",
    )
    _exit(exit_code)


def _exit(exit_code: int) -> NoReturn:
    """Exit without Python's clean-up: the lifespan is closed, and freeing thousands of streams would take seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


@asynccontextmanager
async def serving(app: ServiceApp, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve in the running loop, without signals; yields the base URL. Leaving the context stops as SIGTERM does."""
    async with _running(app, host, port) as (url, _):
        yield url


@asynccontextmanager
async def _running(app: ServiceApp, host: str, port: int) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """Run the app in a task of its own, which begins and ends it, so that callers may enter and leave in two tasks."""
    with _bound_socket(host, port) as listener, _bound_internal(app) as internal:
        up, down = asyncio.Event(), asyncio.Event()
        service = asyncio.create_task(_run_app(app, listener, internal, up, down), name="service")
        try:
            await _wait_for(up, service)
            yield _base_url(listener), service
        except asyncio.CancelledError:
            if not up.is_set():
                service.cancel()
            raise
        finally:
            down.set()
            await asyncio.wait({service})
        if not service.cancelled():
            service.result()


async def _run_app(
    app: ServiceApp,
    listener: socket.socket,
    internal: socket.socket | None,
    up: asyncio.Event,
    down: asyncio.Event,
) -> None:
    try:
        async with (
            app.lifespan(),
            _serving_internal(app, internal),
            _server(app, _limits_of(app)).listening(listener),
        ):
            up.set()
            await down.wait()
    except ExceptionGroup as group:
        raise _only_one(group) from None


@asynccontextmanager
async def _serving_internal(app: ServiceApp, listener: socket.socket | None) -> AsyncIterator[None]:
    if app.internal is None or listener is None:
        yield
        return
    limits = ConnectionLimits(
        total=INTERNAL_CONNECTIONS, per_address=0, proxies=(), registry=CollectorRegistry()
    )
    async with _server(app.internal.app, limits).listening(listener, accepted_at_once=1):
        yield


def _server(app: ServiceApp, limits: ConnectionLimits) -> HttpServer:
    settings: ServiceSettings = app.state.settings
    return HttpServer(app, app.closing, limits, is_https_alone=settings.is_https_alone())


def _limits_of(app: ServiceApp) -> ConnectionLimits:
    settings: ServiceSettings = app.state.settings
    internal = INTERNAL_CONNECTIONS + REFUSED_AT_ONCE if app.internal else 0
    return ConnectionLimits(
        total=connections_allowed(reserved=ACCEPTED_AT_ONCE + REFUSED_AT_ONCE + internal),
        per_address=settings.connections_per_address,
        proxies=settings.connection_proxies,
        registry=app.registry,
    )


def _only_one(group: ExceptionGroup[Exception]) -> Exception:
    """Unwrap a single exception: Litestar's lifespan puts what a service raises into groups."""
    first = group.exceptions[0]
    if len(group.exceptions) > 1:
        return group
    return _only_one(first) if isinstance(first, ExceptionGroup) else first


async def _wait_for(event: asyncio.Event, service: asyncio.Task[None]) -> None:
    """Wait for `event`; raise if the service ends before."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({waiting, service}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if service.done():
        service.result()


async def _run_until_stopped(app: ServiceApp, host: str, port: int) -> int:
    """Serve until a signal; returns the exit code."""
    with _stop_on_signals() as stop:
        async with _running(app, host, port) as (url, service):
            stop.may_cancel = False
            _tune_collector()
            _log.info("service_started", url=url, internal_port=app.internal and app.internal.port)
            await _wait_for(stop.requested, service)
            _log.info("service_stopping")
            asyncio.get_running_loop().call_later(LEAVE_WITHIN_S, _cut_off, stop.exit_code)
    _log.info("service_stopped")
    return stop.exit_code


class _Stop:
    """The request to stop. Before the service has started it cancels the start, which may be waiting for a peer."""

    def __init__(self) -> None:
        self.may_cancel = True
        self.exit_code = 0
        self.requested = asyncio.Event()
        self._task = asyncio.current_task()

    def request(self, exit_code: int) -> None:
        """Ask the process to stop. The first call decides the exit code."""
        if self.requested.is_set():
            return
        self.exit_code = exit_code
        self.requested.set()
        if self.may_cancel and self._task is not None:
            self._task.cancel()


@contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    stop = _Stop()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.request, 0)
    loop.add_signal_handler(termination.SIGNAL, stop.request, EXIT_FAILED)
    try:
        yield stop
    except asyncio.CancelledError:
        if not stop.requested.is_set():
            raise


class _PortUnusable(Exception):
    """The service cannot listen; the message is one sentence with the reason."""


@contextmanager
def _bound_internal(app: ServiceApp) -> Iterator[socket.socket | None]:
    if app.internal is None:
        yield None
        return
    with _bound_socket(app.internal.host, app.internal.port, settings="CAFETERIA_INTERNAL_") as listener:
        yield listener


@contextmanager
def _bound_socket(host: str, port: int, *, settings: str = "CAFETERIA_") -> Iterator[socket.socket]:
    """Bind before the service starts, so that a port in use fails at once. The server listens later.

    `settings` is how the names of the variables begin that a person can change.
    """
    try:
        listener = _bind(host, port)
    except OSError as error:
        raise _PortUnusable(_bind_sentence(error, host, port, settings)) from error
    with listener:
        listener.setblocking(False)
        yield listener


def _bind(host: str, port: int) -> socket.socket:
    """Bind to the first address of `host`, IPv4 before IPv6: clients that try only one of them try IPv4."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_sentence(error: OSError, host: str, port: int, settings: str) -> str:
    ports = f"{settings}PORT_BASE or {settings}PORT"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or set {ports}."
    reason = (error.strerror or str(error)).lower()
    return f"cannot listen on port {port} of {host}: {reason}; set {settings}HOST, {ports}."


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _tune_collector() -> None:
    """Freeze the loaded objects, which stay for good: otherwise each full collection walks all of them in one pause."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_AFTER_OBJECTS)


def _exit_unusable(service: str, sentences: Sequence[str]) -> NoReturn:
    sys.stderr.write("".join(f"{service}: {sentence}\n" for sentence in sentences))
    sys.exit(EXIT_UNUSABLE_SETTINGS)
