"""Each provider answers each golden request over NATS, and its reply has exactly the contract's bytes.

The requests are the golden example files: a service must continue to read what another one writes today.
"""

from typing import Any

import msgspec
import pytest

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import stock, subjects
from cafeteria.contracts.channels import HEADER_SENDER, Rpc
from cafeteria.contracts.values import RejectionReason
from cafeteria.provisioning.bus_permissions import RPC_CALLERS

DEADLINE_S = 5.0
ERROR_HEADER = "Nats-Service-Error-Code"


async def ask(servers: Any, rpc: Rpc[Any, Any], request: bytes) -> Any:
    """Ask as a service that has the permission; the reply, decoded and encoded again, has the same bytes."""
    caller = RPC_CALLERS[rpc.subject][0]
    async with servers.bus_as(caller) as client:
        reply = await client.request(
            rpc.subject, request, timeout=DEADLINE_S, headers={HEADER_SENDER: caller}
        )
    assert ERROR_HEADER not in (reply.headers or {}), reply.headers
    decoded = msgspec.json.decode(reply.data, type=rpc.reply)
    assert msgspec.json.encode(decoded) == reply.data
    return decoded


@pytest.mark.parametrize("rpc", subjects.RPCS, ids=lambda rpc: rpc.subject)
async def test_a_provider_answers_each_golden_request_and_its_repeat(
    all_services: Any, servers: Any, golden: Any, rpc: Rpc[Any, Any]
) -> None:
    for request in golden(rpc.request).values():
        first = await ask(servers, rpc, request)
        assert await ask(servers, rpc, request) == first


@pytest.mark.parametrize("rpc", subjects.RPCS, ids=lambda rpc: rpc.subject)
async def test_a_provider_reads_requests_of_a_newer_caller(
    all_services: Any, servers: Any, golden: Any, rpc: Rpc[Any, Any]
) -> None:
    """A caller may be deployed before or after its provider."""
    fields = msgspec.json.decode(golden(rpc.request)[""])
    await ask(servers, rpc, msgspec.json.encode({**fields, "from_the_future": {"a": [1]}}))


@pytest.mark.parametrize("rpc", subjects.RPCS, ids=lambda rpc: rpc.subject)
async def test_a_provider_answers_400_to_a_request_that_it_cannot_read(
    all_services: Any, servers: Any, rpc: Rpc[Any, Any]
) -> None:
    """A caller without an answer would ask again for ever."""
    async with servers.bus_as(RPC_CALLERS[rpc.subject][0]) as client:
        reply = await client.request(rpc.subject, b"not JSON", timeout=DEADLINE_S)
    assert (reply.headers or {}).get(ERROR_HEADER) == "400"


async def test_an_order_of_items_that_nobody_knows_is_refused_for_ever(
    all_services: Any, servers: Any, golden: Any
) -> None:
    """The same order id always gets the same answer, also for another request."""
    young = msgspec.json.decode(golden(stock.ReserveStock)[""], type=stock.ReserveStock)
    order = msgspec.structs.replace(young, order_id=new_id())
    decided = await ask(servers, subjects.RESERVE, reserve_request(order))
    [decision] = decided.decisions
    assert (decision.decision, decision.reason) == (stock.Decision.REJECTED, RejectionReason.UNKNOWN_ITEM)
    old = msgspec.structs.replace(order, age_ms=stock.MAX_AGE_MS + 1)
    assert await ask(servers, subjects.RESERVE, reserve_request(old)) == decided


async def test_an_order_that_stock_cannot_read_does_not_hide_the_others(
    all_services: Any, servers: Any, golden: Any
) -> None:
    request = msgspec.json.decode(golden(stock.ReserveOrders)[""])
    first, second = request["orders"]
    request["orders"] = [first, {**second, "age_ms": "old"}, second]
    decided = await ask(servers, subjects.RESERVE, msgspec.json.encode(request))
    asked = [first["order_id"], second["order_id"]]
    assert [str(decision.order_id) for decision in decided.decisions] == asked


def reserve_request(*orders: stock.ReserveStock) -> bytes:
    return msgspec.json.encode(stock.ReserveOrders(orders=orders))
