"""Each provider's real bus door answers each golden request, byte for byte as a golden reply would look.

The requests are the example files themselves: what one service writes today, another must go on reading.
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
    """As a service does that may ask this; the reply says in its own bytes what it says decoded."""
    asker = RPC_CALLERS[rpc.subject][0]
    async with servers.bus_as(asker) as client:
        reply = await client.request(rpc.subject, request, timeout=DEADLINE_S, headers={HEADER_SENDER: asker})
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
async def test_a_provider_reads_requests_of_a_newer_asker(
    all_services: Any, servers: Any, golden: Any, rpc: Rpc[Any, Any]
) -> None:
    """Askers are deployed before or after those whom they ask."""
    fields = msgspec.json.decode(golden(rpc.request)[""])
    await ask(servers, rpc, msgspec.json.encode({**fields, "from_the_future": {"a": [1]}}))


@pytest.mark.parametrize("rpc", subjects.RPCS, ids=lambda rpc: rpc.subject)
async def test_a_provider_says_so_when_it_cannot_read_a_request(
    all_services: Any, servers: Any, rpc: Rpc[Any, Any]
) -> None:
    """An asker that hears nothing would ask again for ever."""
    async with servers.bus_as(RPC_CALLERS[rpc.subject][0]) as client:
        reply = await client.request(rpc.subject, b"not JSON", timeout=DEADLINE_S)
    assert (reply.headers or {}).get(ERROR_HEADER) == "400"


async def test_an_order_of_items_that_nobody_knows_is_refused_for_ever(
    all_services: Any, servers: Any, golden: Any
) -> None:
    """The same order id always gets the same answer, whatever is asked with it later."""
    young = msgspec.json.decode(golden(stock.ReserveStock)[""], type=stock.ReserveStock)
    order = msgspec.structs.replace(young, order_id=new_id())
    decided = await ask(servers, subjects.RESERVE, reserve_request(order))
    [decision] = decided.decisions
    assert (decision.decision, decision.reason) == (stock.Decision.REJECTED, RejectionReason.UNKNOWN_ITEM)
    old = msgspec.structs.replace(order, age_ms=stock.MAX_AGE_MS + 1)
    assert await ask(servers, subjects.RESERVE, reserve_request(old)) == decided


async def test_an_order_that_stock_cannot_read_hides_none_of_its_neighbours(
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
