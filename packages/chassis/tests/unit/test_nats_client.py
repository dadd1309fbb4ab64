"""The guards around nats-py hold, and what they lean on is still there in the installed release."""

import asyncio
import inspect
from typing import Any
from unittest.mock import AsyncMock

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.micro.request import Request
from nats.protocol.parser import Parser

from cafeteria.chassis.messaging.nats_client import BusClient

OVERRIDDEN = {
    "_process_headers": ["self", "headers"],
    "_build_message": ["self", "sid", "subject", "reply", "data", "headers"],
    "_request_new_style": ["self", "subject", "payload", "timeout", "headers"],
    "_process_pong": ["self"],
    "_flush_pending": ["self", "force_flush"],
    "_attempt_reconnect": ["self"],
    "_connect_to_server": ["self", "s"],
    "jetstream": ["self", "opts"],
}
READ = {
    *("_error_cb", "_init_request_sub", "_max_pending_size", "_pongs", "_remove_sub", "_resp_map"),
    *("_resp_sub_prefix", "_subs", "_transport", "msg_class"),
}


def test_what_is_overridden_is_there_as_before_and_nothing_else_is() -> None:
    """A name that a release begins to use would be overridden unawares."""
    both = {name for name in vars(BusClient) if hasattr(Client, name) and not name.startswith("__")}
    assert both == set(OVERRIDDEN)
    for name, parameters in OVERRIDDEN.items():
        assert list(inspect.signature(getattr(Client, name)).parameters) == parameters


def test_what_is_read_is_there_as_before() -> None:
    client = Client()
    missing = {name for name in READ if not hasattr(client, name)}
    assert missing <= {"_error_cb"}, "which is there once it has connected"
    assert {"_id", "_stop_processing", "subject"} <= {*dir(Subscription), *vars(Subscription(client))}
    assert "_msg" in inspect.get_annotations(Request)


def test_the_client_calls_what_is_replaced() -> None:
    assert {"_process_headers", "_build_message"} <= set(Client._process_msg.__code__.co_names)
    assert "_request_new_style" in Client.request.__code__.co_names
    assert {"MSG_RE", "HMSG_RE"} <= set(Parser.parse.__code__.co_names)


class Connected(BusClient):
    """As after a connection, with nobody behind it."""

    def __init__(self) -> None:
        super().__init__()
        self._status = Client.CONNECTED
        self._resp_sub_prefix = bytearray(b"_INBOX_gateway.1.")
        self._resp_map = {}


async def test_requests_that_are_given_up_or_cancelled_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Connected()
    monkeypatch.setattr(client, "publish", AsyncMock())
    with pytest.raises(nats.errors.TimeoutError):
        await client.request("stock.rpc.v1.reserve", b"{}", timeout=0.01)
    waiting = asyncio.create_task(client.request("stock.rpc.v1.reserve", b"{}", timeout=60))
    await asyncio.sleep(0)
    assert client._resp_map
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert client._resp_map == {}


async def test_a_request_that_is_too_large_leaves_nothing_behind() -> None:
    client = Connected()
    client._max_payload = 8
    with pytest.raises(nats.errors.MaxPayloadError):
        await client.request("stock.rpc.v1.reserve", b"123456789")
    assert client._resp_map == {}


async def test_a_request_before_the_first_connection_leaves_nothing_to_be_sent() -> None:
    """A connection that fails with something left to say fails for good."""
    client = BusClient()
    client._status, client._max_pending_size = Client.CONNECTING, -1
    with pytest.raises(nats.errors.OutboundBufferLimitError):
        await client.request("stock.rpc.v1.reserve", b"{}", timeout=1)
    assert (client._pending, client._subs, client._resp_map) == ([], {}, {})


async def test_an_answer_to_a_ping_that_was_given_up_is_passed_over() -> None:
    client = Connected()
    given_up, waited_for = asyncio.Future[Any](), asyncio.Future[Any]()
    given_up.cancel()
    client._pongs = [given_up, waited_for]
    await client._process_pong()
    await client._process_pong()
    assert waited_for.result() is True


async def test_a_lost_connection_shows_as_an_error_of_nats(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Connected()
    for error in (ConnectionResetError(), RuntimeError("the transport is closed")):
        monkeypatch.setattr(Client, "_flush_pending", AsyncMock(side_effect=error))
        with pytest.raises(nats.errors.ConnectionClosedError):
            await client._flush_pending()


async def test_a_subscription_that_could_not_be_sent_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Connected()
    client._error_cb = AsyncMock()
    monkeypatch.setattr(Client, "_flush_pending", AsyncMock(side_effect=ConnectionResetError()))
    tasks = asyncio.all_tasks()
    with pytest.raises(nats.errors.ConnectionClosedError):
        await client.listen("_INBOX_gateway.2", ignore)
    assert client._subs == {}
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() <= tasks


async def ignore(_: object) -> None: ...
