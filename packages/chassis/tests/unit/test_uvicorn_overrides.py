"""What the server overrides and reads of uvicorn and httptools is still there in the installed release."""

import asyncio
import inspect

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
OVERRIDDEN = {
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
def test_what_is_overridden_is_there_and_nothing_else_is(ours: type, theirs: type) -> None:
    """A name that a release begins to use would be overridden unawares."""
    both = {name for name in vars(ours) if hasattr(theirs, name) and not name.startswith("__")}
    assert both == OVERRIDDEN[ours]
    assert all(inspect.isfunction(getattr(theirs, name)) for name in both)


def test_the_servers_start_and_clock_are_asked_as_before() -> None:
    assert list(inspect.signature(Server.startup).parameters) == ["self", "sockets"]
    assert list(inspect.signature(Server.on_tick).parameters) == ["self", "counter"]
    assert vars(ServerState()).keys() == {"total_requests", "connections", "tasks", "default_headers"}


async def test_a_connections_attributes_are_as_they_are_read() -> None:
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
    assert (
        protocol.timeout_keep_alive_task is None
    )  # the one timer, which only its own on_response_complete starts


def test_a_cycle_is_made_as_before_and_keeps_its_state_where_it_is_read() -> None:
    made_with = set(inspect.signature(RequestResponseCycle).parameters)
    assert made_with == {
        *("scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers"),
        *("message_event", "expect_100_continue", "keep_alive", "on_response"),
    }
    state = vars(RequestResponseCycle(**dict.fromkeys(made_with)))
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


def test_the_parser_has_what_is_asked_of_it() -> None:
    parser = httptools.HttpRequestParser(object())
    for name in ("feed_data", "get_method", "get_http_version", "should_keep_alive", "should_upgrade"):
        assert callable(getattr(parser, name))
