"""The overrides of nats-py work, and the installed release still has every name that they override or read."""

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


def test_the_client_has_every_overridden_method_and_nothing_else_is_overridden() -> None:
    """If a release adds a name that the subclass already has, the subclass would override it by accident."""
    both = {name for name in vars(BusClient) if hasattr(Client, name) and not name.startswith("__")}
    assert both == set(OVERRIDDEN)
    for name, parameters in OVERRIDDEN.items():
        assert list(inspect.signature(getattr(Client, name)).parameters) == parameters


def test_the_client_has_every_attribute_that_is_read() -> None:
    client = Client()
    missing = {name for name in READ if not hasattr(client, name)}
    assert missing <= {"_error_cb"}, "the client sets _error_cb when it connects"
    assert {"_id", "_stop_processing", "subject"} <= {*dir(Subscription), *vars(Subscription(client))}
    assert "_msg" in inspect.get_annotations(Request)


def test_the_client_calls_the_replaced_methods() -> None:
    assert {"_process_headers", "_build_message"} <= set(Client._process_msg.__code__.co_names)
    assert "_request_new_style" in Client.request.__code__.co_names
    assert {"MSG_RE", "HMSG_RE"} <= set(Parser.parse.__code__.co_names)


class Connected(BusClient):
    """A client in the state after a connection, without a server."""

    def __init__(self) -> None:
        super().__init__()
        self._status = Client.CONNECTED
        self._resp_sub_prefix = bytearray(b"_INBOX_gateway.1.")
        self._resp_map = {}


async def test_a_timed_out_or_cancelled_request_leaves_no_entry_behind(
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


async def test_a_request_that_is_too_large_leaves_no_entry_behind() -> None:
    client = Connected()
    client._max_payload = 8
    with pytest.raises(nats.errors.MaxPayloadError):
        await client.request("stock.rpc.v1.reserve", b"123456789")
    assert client._resp_map == {}


async def test_a_request_before_the_first_connection_leaves_no_pending_bytes() -> None:
    """A connection that fails with pending bytes fails for good."""
    client = BusClient()
    client._status, client._max_pending_size = Client.CONNECTING, -1
    with pytest.raises(nats.errors.OutboundBufferLimitError):
        await client.request("stock.rpc.v1.reserve", b"{}", timeout=1)
    assert (client._pending, client._subs, client._resp_map) == ([], {}, {})


async def test_the_answer_to_a_cancelled_ping_is_skipped() -> None:
    client = Connected()
    cancelled, awaited = asyncio.Future[Any](), asyncio.Future[Any]()
    cancelled.cancel()
    client._pongs = [cancelled, awaited]
    await client._process_pong()
    await client._process_pong()
    assert awaited.result() is True


async def test_a_lost_connection_raises_an_error_of_nats(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Connected()
    for error in (ConnectionResetError(), RuntimeError("the transport is closed")):
        monkeypatch.setattr(Client, "_flush_pending", AsyncMock(side_effect=error))
        with pytest.raises(nats.errors.ConnectionClosedError):
            await client._flush_pending()


async def test_a_subscription_that_could_not_be_sent_leaves_no_entry_and_no_task_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Connected()
    client._error_cb = AsyncMock()
    monkeypatch.setattr(Client, "_flush_pending", AsyncMock(side_effect=ConnectionResetError()))
    tasks_before = asyncio.all_tasks()
    with pytest.raises(nats.errors.ConnectionClosedError):
        await client.listen("_INBOX_gateway.2", ignore)
    assert client._subs == {}
    if new_tasks := asyncio.all_tasks() - tasks_before:
        _, pending = await asyncio.wait(new_tasks, timeout=5)
        assert not pending


async def ignore(_: object) -> None: ...
