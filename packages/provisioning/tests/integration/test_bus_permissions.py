"""A real server allows each service's user its own work on the bus and refuses everything else."""

import asyncio
import json
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Self

import pytest
from nats.aio.msg import Msg
from nats.micro import add_service

from cafeteria.chassis.messaging.nats_client import BusClient
from cafeteria.contracts import subjects
from cafeteria.provisioning.bus_permissions import inbox_prefix
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

NOTIFICATION = subjects.NOTIFICATION_STREAM.name
PROJECTION = subjects.GATEWAY_PROJECTION.name


JETSTREAM = (
    "$JS.API.INFO",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.CREATE.MINE",
    "$JS.API.STREAM.CREATE.KITCHEN",
    "$JS.API.STREAM.UPDATE.NOTIFICATION",
    "$JS.API.STREAM.DELETE.KITCHEN",
    "$JS.API.STREAM.PURGE.NOTIFICATION",
    "$JS.API.STREAM.MSG.GET.KITCHEN",
    "$JS.API.STREAM.MSG.DELETE.KITCHEN",
    "$JS.API.DIRECT.GET.NOTIFICATION",
    "$JS.API.CONSUMER.CREATE.KITCHEN.mine",
    "$JS.API.CONSUMER.CREATE.NOTIFICATION",
    "$JS.API.CONSUMER.CREATE.NOTIFICATION.mine",
    f"$JS.API.CONSUMER.CREATE.NOTIFICATION.{subjects.NOTIFICATION_READERS.names[0]}",
    "$JS.API.CONSUMER.DURABLE.CREATE.NOTIFICATION.mine",
    "$JS.API.CONSUMER.DELETE.KITCHEN.kitchen-work",
    f"$JS.API.CONSUMER.DELETE.{NOTIFICATION}.{PROJECTION}",
    f"$JS.API.CONSUMER.RESET.{NOTIFICATION}.{PROJECTION}",
    "$JS.API.CONSUMER.RESET.KITCHEN.kitchen-work",
)
"""Subjects of the administrator only; the tests also try them under a service's API prefix."""


class Connection:
    """A user's connection that records the server's refusals."""

    def __init__(self, servers: FixtureServers, user: str) -> None:
        self._servers = servers
        self._user = user
        self.refused: list[str] = []
        self.client = BusClient()

    async def __aenter__(self) -> Self:
        async def record(error: Exception) -> None:
            self.refused.append(str(error).lower())

        await self.client.connect(
            self._servers.nats_url,
            user=self._user,
            password=self._servers.credentials.nats_password(self._user),
            inbox_prefix=inbox_prefix(self._user).encode(),
            error_cb=record,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def refusals(self, action: Awaitable[object]) -> list[str]:
        """Await `action` and return the server's refusals, which arrive before the reply to a later ping."""
        before = len(self.refused)
        await action
        await self.client.flush_all()
        return self.refused[before:]


def forbidden_subjects(service: str) -> list[str]:
    """Return the subjects that the service must not publish to."""
    topics = [topic.subject for topic in subjects.TOPICS if topic.owner != service]
    return [
        *topics,
        *(each.replace("$JS.API", subjects.STREAMS_API) for each in JETSTREAM),
        *JETSTREAM,
        "_INBOX_gateway.abc" if service != subjects.GATEWAY else "_INBOX_stock.abc",
        "$SYS.REQ.SERVER.PING",
        "anything.else",
    ]


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_a_service_cannot_publish_to_foreign_subjects(servers: FixtureServers, service: str) -> None:
    async with Connection(servers, service) as connection:
        for subject in forbidden_subjects(service):
            refused = await connection.refusals(connection.client.publish(subject, b"{}"))
            assert any(subject.lower() in each for each in refused), f"{service} may publish {subject}"


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_only_its_callers_may_publish_a_request(servers: FixtureServers, service: str) -> None:
    callers = {
        subjects.GATEWAY: {"stock.rpc.v1.reserve", "stock.rpc.v1.release", "kitchen.rpc.v1.cancel"}
        | {"kitchen.rpc.v1.known", "notification.rpc.v1.known"},
        subjects.KITCHEN: {"gateway.rpc.v1.known", "notification.rpc.v1.known"},
    }
    allowed = callers.get(service, set()) | {subjects.JWKS.subject}
    async with Connection(servers, service) as connection:
        for rpc in subjects.RPCS:
            refused = await connection.refusals(connection.client.publish(rpc.subject, b"{}"))
            assert bool(refused) == (rpc.subject not in allowed), rpc.subject


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_a_service_cannot_subscribe_to_foreign_subjects(servers: FixtureServers, service: str) -> None:
    others = [other for other in subjects.SERVICES if other != service]
    heard = {
        (reader, topic)
        for reader in (subjects.GATEWAY, subjects.NOTIFICATION)
        for topic in (subjects.AVAILABILITY, subjects.PACE)
    }
    forbidden = [
        *(f"{inbox_prefix(other)}.>" for other in others),
        *(rpc.subject for rpc in subjects.RPCS if rpc.owner != service),
        *(
            topic.subject
            for topic in subjects.TOPICS
            if (service, topic) not in heard
            and (topic != subjects.SESSIONS_REVOKED or service == subjects.IDENTITY)
        ),
        *(f"$SRV.PING.cafeteria-{other}" for other in others),
        *("_INBOX.>", ">", "*.rpc.>", "order.>", "$JS.>", "$SYS.>"),
    ]
    async with Connection(servers, service) as connection:
        for subject in forbidden:
            refused = await connection.refusals(connection.client.subscribe(subject))
            assert refused, f"{service} may subscribe to {subject}"


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_only_identity_tells_the_others_which_sessions_have_ended(
    servers: FixtureServers, service: str
) -> None:
    """A service that could would sign everybody out."""
    subject = subjects.SESSIONS_REVOKED.subject
    received: list[bytes] = []

    async def receive(message: Msg) -> None:
        received.append(message.data)

    async with AsyncExitStack() as stack:
        for reader in subjects.SERVICES:
            if reader != subjects.IDENTITY:
                connection = await stack.enter_async_context(Connection(servers, reader))
                assert await connection.refusals(connection.client.subscribe(subject, cb=receive)) == []
        sender = await stack.enter_async_context(Connection(servers, service))
        for variant in (subject, f"{subject}.all", "identity.>"):
            refused = await sender.refusals(sender.client.publish(variant, service.encode()))
            assert bool(refused) == ((service, variant) != (subjects.IDENTITY, subject)), variant
        identity = await stack.enter_async_context(Connection(servers, subjects.IDENTITY))
        await identity.client.publish(subject, b"last")
        await identity.client.flush()
        readers = len(subjects.SERVICES) - 1
        await until(lambda: received.count(b"last") == readers)
    expected = [b"identity"] * readers if service == subjects.IDENTITY else []
    assert [body for body in received if body != b"last"] == expected


@pytest.mark.parametrize("login", [{}, {"user": "gateway"}, {"user": "gateway", "pass": "guess"}])
async def test_a_client_without_valid_credentials_is_refused(
    servers: FixtureServers, login: dict[str, str]
) -> None:
    """The test writes the protocol itself, because nats-py leaves sockets open after a refused login."""
    port = int(servers.nats_url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"INFO")
    writer.write(f"CONNECT {json.dumps(login)}\r\nPING\r\n".encode())
    assert b"Authorization Violation" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_only_its_owner_can_read_and_acknowledge_a_durable(
    servers: FixtureServers, clean: None
) -> None:
    durable = subjects.KITCHEN_WORK
    async with servers.bus_as(subjects.GATEWAY) as gateway, servers.bus_as(subjects.KITCHEN) as kitchen:
        await gateway.jetstream().publish(subjects.WORK_PLACED.subject, b"{}", headers={"Nats-Msg-Id": "a"})
        reader = await kitchen.jetstream().pull_subscribe_bind(durable.name, stream=durable.stream)
        [message] = await reader.fetch(1, timeout=10)
        async with Connection(servers, subjects.GATEWAY) as intruder:
            assert await intruder.refusals(intruder.client.publish(message.reply, b"+ACK"))
            pull = f"{subjects.STREAMS_API}.CONSUMER.MSG.NEXT.{durable.stream}.{durable.name}"
            assert await intruder.refusals(intruder.client.publish(pull, b"", reply="_INBOX_gateway.x"))
        assert await outstanding(kitchen) == 1
        await message.ack_sync(timeout=10)
        assert await outstanding(kitchen) == 0


async def outstanding(kitchen: BusClient) -> int | None:
    durable = subjects.KITCHEN_WORK
    info = await kitchen.jetstream().consumer_info(durable.stream, durable.name)
    return info.num_ack_pending


async def test_notification_reads_from_the_sequence_to_which_it_resets_its_consumer(
    servers: FixtureServers, clean: None
) -> None:
    name = subjects.NOTIFICATION_READERS.names[3]
    async with servers.bus_as(subjects.GATEWAY) as gateway:
        first, second = [
            (await gateway.jetstream().publish(subjects.GATEWAY_STATUS.subject, b"%d" % number)).seq
            for number in (1, 2)
        ]
    async with servers.bus_as(subjects.NOTIFICATION) as notification:
        for sequence, number in ((second, b"2"), (first, b"1")):
            reset = f"{subjects.STREAMS_API}.CONSUMER.RESET.{NOTIFICATION}.{name}"
            answer = await notification.request(reset, json.dumps({"seq": sequence}).encode(), timeout=10)
            assert json.loads(answer.data)["reset_seq"] == sequence
            arriving = await notification.subscribe(inbox := notification.new_inbox())
            pull = f"{subjects.STREAMS_API}.CONSUMER.MSG.NEXT.{NOTIFICATION}.{name}"
            await notification.publish(pull, b'{"batch": 1}', reply=inbox)
            assert (await arriving.next_msg(timeout=10)).data == number


async def test_notification_cannot_use_the_gateways_durable(servers: FixtureServers, clean: None) -> None:
    async with Connection(servers, subjects.NOTIFICATION) as notification:
        for subject in (
            f"$JS.ACK.{NOTIFICATION}.{PROJECTION}.1.1.1.1.0",
            f"{subjects.STREAMS_API}.CONSUMER.INFO.{NOTIFICATION}.{PROJECTION}",
            f"{subjects.STREAMS_API}.CONSUMER.MSG.NEXT.{NOTIFICATION}.{PROJECTION}",
            f"{subjects.STREAMS_API}.CONSUMER.CREATE.{NOTIFICATION}.{PROJECTION}",
            f"{subjects.STREAMS_API}.CONSUMER.DELETE.{NOTIFICATION}.{PROJECTION}",
            f"{subjects.STREAMS_API}.CONSUMER.RESET.{NOTIFICATION}.{PROJECTION}",
        ):
            assert await notification.refusals(notification.client.publish(subject, b"{}")), subject


async def test_a_service_replies_to_requests_and_to_discovery(servers: FixtureServers) -> None:
    async with servers.bus_as(subjects.STOCK) as stock, servers.bus_as(subjects.GATEWAY) as gateway:
        service = await add_service(
            stock, name="cafeteria-stock", version="1.0.0", queue_group=subjects.STOCK
        )
        await service.add_endpoint(
            name="reserve",
            subject=subjects.RESERVE.subject,
            handler=lambda request: request.respond(b"decided"),
        )
        await stock.flush_all()
        reply = await gateway.request(subjects.RESERVE.subject, b"{}", timeout=10)
        assert reply.data == b"decided"
        async with servers.bus_as("admin") as admin:
            for verb in ("PING", "INFO", "STATS"):
                discovered = await admin.request(f"$SRV.{verb}.cafeteria-stock", timeout=10)
                assert json.loads(discovered.data)["name"] == "cafeteria-stock"
        await service.stop()
