"""A service as a process: start, serve, and stop without dropping what was read.

On SIGTERM or SIGINT: no new connections, event streams end at once, every request whose bytes had been read gets
its answer, the lifespan closes, and the process exits 0, all within three seconds. A process that cannot go on stops
the same way, and exits 1. Tests serve through the same path.
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

from cafeteria.chassis import logs
from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.http.connection_limits import TURNED_AWAY_AT_ONCE, ConnectionLimits
from cafeteria.chassis.http.descriptors import connections_allowed, raise_descriptor_limit
from cafeteria.chassis.http.uvicorn_server import ACCEPTED_AT_ONCE, HttpServer
from cafeteria.chassis.runtime import giving_up
from cafeteria.chassis.settings import ServiceSettings, SettingsError, load_settings

EXIT_FAILED = 1
EXIT_UNUSABLE_SETTINGS = 2

LEAVE_WITHIN_S = 2.8
"""From the signal on. What a silent server still holds up by then is no worse off than after a kill."""

GC_AFTER_OBJECTS = 20_000
"""More than are alive for all requests in flight. After 700, Python's default, the collector mostly meets what is still
in use: 5 % of the gateway's CPU at full load."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
S = TypeVar("S", bound=ServiceSettings)
_log = logs.get_logger()


def run(service: str, create_app: Callable[[S], ServiceApp], settings_type: type[S]) -> None:
    """The whole life of a service's process. What cannot start says why on standard error, in a sentence."""
    try:
        settings = load_settings(settings_type)
        logs.configure_logs(service, level=settings.log_level, log_format=settings.log_format)
        raise_descriptor_limit()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            _leave(runner.run(_live(create_app(settings), settings.host, settings.listen_port(service))))
    except SettingsError as error:
        _refuse(service, error.sentences)
    except _PortRefused as error:
        _refuse(service, (str(error),))
    except Exception as error:  # noqa: BLE001 - nobody is left to hear of it: the log is
        _log.critical("service_failed", exc_info=error)
        sys.exit(EXIT_FAILED)
    finally:
        logs.LINES.flush()  # the loop that would have written them has ended


def _leave_unfinished(exit_code: int) -> NoReturn:
    _log.warning(
        "service_stop_cut_off", reason="What this service waits for is silent; nothing depends on it."
    )
    _leave(exit_code)


def _leave(exit_code: int) -> NoReturn:
    """The lifespan has closed what matters; taking thousands of streams apart in memory would take seconds more."""
    logs.LINES.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


@asynccontextmanager
async def serving(app: ServiceApp, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve in the running loop, without signals; yields the base URL. Leaving stops as SIGTERM does."""
    async with _running(app, host, port) as (url, _):
        yield url


@asynccontextmanager
async def _running(app: ServiceApp, host: str, port: int) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """The app lives in a task of its own, which begins and ends it: whoever enters this may leave it in another."""
    with _bound_socket(host, port) as listener:
        up, down = asyncio.Event(), asyncio.Event()
        life = asyncio.create_task(_hold(app, listener, up, down), name="service")
        try:
            await _either(up, life)
            yield _base_url(listener), life
        except asyncio.CancelledError:
            if not up.is_set():
                life.cancel()
            raise
        finally:
            down.set()
            await asyncio.wait({life})
        if not life.cancelled():
            life.result()


async def _hold(app: ServiceApp, listener: socket.socket, up: asyncio.Event, down: asyncio.Event) -> None:
    try:
        async with app.lifespan(), HttpServer(app, app.closing, _limits_of(app)).listening(listener):
            up.set()
            await down.wait()
    except ExceptionGroup as group:
        raise _only_one(group) from None


def _limits_of(app: ServiceApp) -> ConnectionLimits:
    settings: ServiceSettings = app.state.settings
    return ConnectionLimits(
        total=connections_allowed(reserved=ACCEPTED_AT_ONCE + TURNED_AWAY_AT_ONCE),
        per_address=settings.connections_per_address,
        proxies=settings.connection_proxies,
        registry=app.registry,
    )


def _only_one(group: ExceptionGroup[Exception]) -> Exception:
    """Litestar's lifespan puts what a service raises into groups; alone in them, it is said as it is."""
    first = group.exceptions[0]
    if len(group.exceptions) > 1:
        return group
    return _only_one(first) if isinstance(first, ExceptionGroup) else first


async def _either(event: asyncio.Event, life: asyncio.Task[None]) -> None:
    """Wait for `event`; raise if the service ends before."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({waiting, life}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if life.done():
        life.result()


async def _live(app: ServiceApp, host: str, port: int) -> int:
    """The exit code."""
    with _stop_on_signals() as stop:
        async with _running(app, host, port) as (url, life):
            stop.may_cancel = False
            _settle_memory()
            _log.info("service_started", url=url)
            await _either(stop.told, life)
            _log.info("service_stopping")
            asyncio.get_running_loop().call_later(LEAVE_WITHIN_S, _leave_unfinished, stop.exit_code)
    _log.info("service_stopped")
    return stop.exit_code


class _Stop:
    """Told to stop before it has started, a process gives up the start: that may be waiting for a peer."""

    def __init__(self) -> None:
        self.may_cancel = True
        self.exit_code = 0
        self.told = asyncio.Event()
        self._task = asyncio.current_task()

    def tell(self, exit_code: int) -> None:
        """The first to tell decides how the process ends."""
        if self.told.is_set():
            return
        self.exit_code = exit_code
        self.told.set()
        if self.may_cancel and self._task is not None:
            self._task.cancel()


@contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    stop = _Stop()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.tell, 0)
    loop.add_signal_handler(giving_up.SIGNAL, stop.tell, EXIT_FAILED)
    try:
        yield stop
    except asyncio.CancelledError:
        if not stop.told.is_set():
            raise


class _PortRefused(Exception):
    """Says in a sentence why the service cannot listen."""


@contextmanager
def _bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Bound before the service starts, so that a port in use is known at once; it listens once the service has."""
    try:
        listener = _bind(host, port)
    except OSError as error:
        raise _PortRefused(_bind_sentence(error, host, port)) from error
    with listener:
        listener.setblocking(False)
        yield listener


def _bind(host: str, port: int) -> socket.socket:
    """To the first address of `host`, IPv4 before IPv6: clients that try one of them only try that."""
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


def _bind_sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or set CAFETERIA_PORT_BASE or CAFETERIA_PORT."
    reason = (error.strerror or str(error)).lower()
    return f"cannot listen on port {port} of {host}: {reason}; set CAFETERIA_HOST, CAFETERIA_PORT_BASE or CAFETERIA_PORT."


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _settle_memory() -> None:
    """What was loaded stays for good: left in the collector, each full pass would walk all of it in one pause."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_AFTER_OBJECTS)


def _refuse(service: str, sentences: Sequence[str]) -> NoReturn:
    sys.stderr.write("".join(f"{service}: {sentence}\n" for sentence in sentences))
    sys.exit(EXIT_UNUSABLE_SETTINGS)
