"""Request-reply: the reply or error that a caller gets from a peer that works, fails, is silent or is not there."""

import asyncio
from contextlib import AsyncExitStack

import nats.errors
import pytest

from cafeteria.chassis.messaging import Bus, NoAnswer, NoResponder, PeerRefused
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts import subjects as names
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.values import OrderVersion
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

CHECK = CheckDelivery(items=(OrderVersion(order_id=new_id(), version=2),))


async def test_a_request_gets_the_typed_reply_of_its_owner(bus: Bus, kitchen_bus: Bus) -> None:
    async def answer(check: CheckDelivery) -> DeliveryStatus:
        return DeliveryStatus(missing=check.items)

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, answer)
    assert await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=2) == DeliveryStatus(
        missing=CHECK.items
    )


async def test_a_service_answers_although_the_server_did_not_confirm_its_subscription(
    bus: Bus, kitchen_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: CheckDelivery) -> DeliveryStatus:
        return DeliveryStatus()

    async def confirm_nothing(**_: object) -> None:
        raise nats.errors.FlushTimeoutError

    with monkeypatch.context() as silence:
        silence.setattr(kitchen_bus.client, "flush", confirm_nothing)
        with pytest.raises(nats.errors.FlushTimeoutError):
            await kitchen_bus.serve(names.KITCHEN_DELIVERY, answer)
    await kitchen_bus.client.flush_all()
    assert await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=2) == DeliveryStatus()


async def test_a_server_that_answered_a_ping_too_late_is_usable_at_once(
    bus: Bus, kitchen_bus: Bus, servers: FixtureServers
) -> None:
    """Readiness pings the server and waits one second at most."""

    async def answer(_: CheckDelivery) -> DeliveryStatus:
        return DeliveryStatus()

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, answer)
    with servers.nats.frozen(), pytest.raises(NoAnswer):
        await bus.ping()
    assert await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=2) == DeliveryStatus()


async def test_a_request_over_an_undetected_lost_connection_gets_no_answer(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_lines(_: object) -> None:
        raise RuntimeError("the handler is closed")

    flusher = bus.client._flusher_task
    assert flusher is not None
    flusher.cancel()
    await asyncio.wait({flusher})
    monkeypatch.setattr(bus.client._transport, "writelines", write_lines)
    with pytest.raises(NoAnswer):
        await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=0.2)


async def test_closing_a_bus_does_not_wait_for_a_frozen_server(
    gateway_settings: ServiceSettings, servers: FixtureServers
) -> None:
    async def answer(_: CheckDelivery) -> DeliveryStatus:
        return DeliveryStatus()

    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus(gateway_settings, service=names.GATEWAY))
        await bus.connected()
        await bus.serve(names.GATEWAY_DELIVERY, answer)
        with servers.nats.frozen():
            async with asyncio.timeout(6):  # without the limits of Bus closing takes ten seconds
                await stack.aclose()


async def test_a_request_without_a_responder_fails_at_once(bus: Bus) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(NoResponder):
            await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=60)


async def test_the_outcome_of_a_silent_peer_is_unknown_after_the_deadline(bus: Bus, kitchen_bus: Bus) -> None:
    never = asyncio.Event()

    async def stay_silent(_: CheckDelivery) -> DeliveryStatus:
        await never.wait()
        return DeliveryStatus()

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, stay_silent)
    with pytest.raises(NoAnswer) as caught:
        await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=0.2)
    assert not isinstance(caught.value, NoResponder)
    never.set()


async def test_a_failing_peer_answers_with_its_error_code(bus: Bus, kitchen_bus: Bus) -> None:
    async def fail(_: CheckDelivery) -> DeliveryStatus:
        raise Unavailable("The database does not answer just now.")

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, fail)
    with pytest.raises(PeerRefused) as caught:
        await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=2)
    assert caught.value.peer_code == "503"


async def test_an_unforeseen_failure_of_the_peer_reveals_no_detail(bus: Bus, kitchen_bus: Bus) -> None:
    async def fail(_: CheckDelivery) -> DeliveryStatus:
        raise RuntimeError("password=hunter2")

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, fail)
    with pytest.raises(PeerRefused) as caught:
        await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=2)
    assert caught.value.peer_code == "500"
    assert "hunter2" not in str(caught.value)


async def test_requests_are_handled_concurrently(bus: Bus, kitchen_bus: Bus) -> None:
    all_arrived = asyncio.Barrier(20)

    async def meet(_: CheckDelivery) -> DeliveryStatus:
        await all_arrived.wait()
        return DeliveryStatus()

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, meet)
    await asyncio.gather(*(bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=5) for _ in range(20)))


async def test_an_endpoint_answers_again_after_nats_was_killed(
    bus: Bus, kitchen_bus: Bus, servers: FixtureServers
) -> None:
    async def answer(_: CheckDelivery) -> DeliveryStatus:
        return DeliveryStatus()

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, answer)
    servers.nats.kill()
    await servers.nats.ended()
    with pytest.raises(NoAnswer):
        await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=0.5)
    await servers.nats.start()

    async def answers() -> bool:
        try:
            return await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=0.5) == DeliveryStatus()
        except NoAnswer:
            return False

    await until(answers)


async def test_a_service_answers_the_micro_protocol(
    bus: Bus, kitchen_bus: Bus, servers: FixtureServers
) -> None:
    async def answer(_: CheckDelivery) -> DeliveryStatus:
        return DeliveryStatus()

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, answer)
    async with servers.bus_as("admin") as admin:
        pong = await admin.request("$SRV.PING.cafeteria-kitchen", timeout=2)
        info = await admin.request("$SRV.INFO.cafeteria-kitchen", timeout=2)
    assert b"cafeteria-kitchen" in pong.data
    assert names.KITCHEN_DELIVERY.subject.encode() in info.data
