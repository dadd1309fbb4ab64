"""The installed uvicorn and httptools still have every name that the server overrides or reads."""

import asyncio
import inspect
from typing import Any

import httptools
import pytest
from uvicorn import Config, Server
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from cafeteria.chassis.http.uvicorn_cycles import Cycle, Http10Cycle
from cafeteria.chassis.http.uvicorn_protocol import HttpProtocol
from cafeteria.chassis.http.uvicorn_server import HttpServer

OURS_AND_THEIRS = [(HttpServer, Server), (HttpProtocol, HttpToolsProtocol), (Cycle, RequestResponseCycle)]
OVERRIDDEN: dict[type, set[str]] = {
    HttpServer: set(),
    HttpProtocol: {
        *(
            "connection_made",
            "connection_lost",
            "data_received",
            "pause_writing",
            "resume_writing",
            "shutdown",
        ),
        *(
            "on_message_begin",
            "on_headers_complete",
            "on_body",
            "on_message_complete",
            "on_response_complete",
        ),
    },
    Cycle: {"receive"},
}


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_uvicorn_has_every_overridden_method_and_nothing_else_is_overridden(ours: type, theirs: type) -> None:
    """If a release adds a name that a subclass already has, the subclass would override it by accident."""
    both = {name for name in vars(ours) if hasattr(theirs, name) and not name.startswith("__")}
    assert both == OVERRIDDEN[ours]
    assert all(inspect.isfunction(getattr(theirs, name)) for name in both)


def test_the_servers_startup_and_tick_have_the_expected_signatures() -> None:
    assert list(inspect.signature(Server.startup).parameters) == ["self", "sockets"]
    assert list(inspect.signature(Server.on_tick).parameters) == ["self", "counter"]
    assert vars(ServerState()).keys() == {"total_requests", "connections", "tasks", "default_headers"}


async def test_a_connection_has_the_attributes_that_are_read() -> None:
    async def app(scope: object, receive: object, send: object) -> None: ...

    protocol = HttpToolsProtocol(Config(app), ServerState(), {}, _loop=asyncio.get_running_loop())
    read = {
        *(
            "app",
            "parser",
            "loop",
            "logger",
            "access_logger",
            "server_state",
            "tasks",
            "transport",
            "flow",
            "client",
        ),
        *("pipeline", "scope", "headers", "expect_100_continue", "cycle"),
    }
    assert read <= vars(protocol).keys()
    # the only timer; only its own on_response_complete starts it
    assert protocol.timeout_keep_alive_task is None


def test_a_cycle_has_the_expected_parameters_and_attributes() -> None:
    parameters = set(inspect.signature(RequestResponseCycle).parameters)
    assert parameters == {
        *("scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers"),
        *("message_event", "expect_100_continue", "keep_alive", "on_response"),
    }
    nothing: dict[str, Any] = dict.fromkeys(parameters)  # it only stores its arguments
    state = vars(RequestResponseCycle(**nothing))
    assert (state["chunked_encoding"], state["expected_content_length"]) == (None, 0)
    assert {
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "scope",
    } <= state.keys()
    assert "response_started" in state
    assert issubclass(Http10Cycle, RequestResponseCycle)
    assert {"pause_reading", "resume_reading"} <= vars(FlowControl).keys()


def test_the_parser_has_the_methods_that_are_called() -> None:
    parser = httptools.HttpRequestParser(object())
    for name in ("feed_data", "get_method", "get_http_version", "should_keep_alive", "should_upgrade"):
        assert callable(getattr(parser, name))
