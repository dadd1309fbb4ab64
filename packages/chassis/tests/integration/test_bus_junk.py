"""A service survives any bytes on a subject of requests, of a topic or of a stream, and reads the next message."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging import Bus, Consumer
from cafeteria.chassis.messaging.dead_letters import DeadLetters
from cafeteria.chassis.messaging.lag import ConsumerLag
from cafeteria.chassis.messaging.publisher import pack
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import subjects as names
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.stock import AvailabilityChanged
from cafeteria.contracts.values import OrderVersion
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

CHECK = CheckDelivery(items=(OrderVersion(order_id=new_id(), version=2),))

BODIES = (
    b"",
    b"{",
    b"null",
    b"\xff\xfe",
    b'{"items": "\xed\xa0\x80"}',
    b'{"caf\xe9": 1}',
    b'{"items": [{"order_id": "\xc0\x80", "version": 2}]}',
    b"[" * 100_000,
    b'{"unknown": ' + b"[" * 100_000,
    b'{"order_id": ' * 2_000 + b"1" + b"}" * 2_000,
    b'{"items": [{"order_id": "0197f0a0-0000-7000-8000-000000000000", "version": ' + b"9" * 5_000 + b"}]}",
    b'"' + b"x" * 1_000_000 + b'"',
)
HEADERS = (
    b"NATS/1.0\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0\r\nNats-Msg-Id: \x00\xff\r\n\r\n",
    b"NATS/1.0\r\ntraceparent: \xff\xfe\r\nCafeteria-Sender: \xff\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0 \xff\xff\xff \xff\r\n\r\n",
    b"NATS/1.0 100 \xff\r\n\r\n",
    b"junk",
    b"\r\n",
    b"NATS/1.0",
)
REPLIES = (b"", b"_INBOX_gateway.nobody", b"\xff\xfe", b"a\x0bb", "\N{SNOWMAN}".encode())


class RawUser:
    """A NATS connection that can send any bytes, which no client library allows."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, servers: FixtureServers, user: str) -> "RawUser":
        port = int(servers.nats_url.rsplit(":", 1)[1])
        raw = cls(*await asyncio.open_connection("127.0.0.1", port))
        password = servers.credentials.nats_password(user)
        line = (
            f'CONNECT {{"user":"{user}","pass":"{password}","verbose":false,"headers":true,"protocol":1}}\r\n'
        )
        raw._writer.write(line.encode())
        return raw

    def publish(self, subject: str, body: bytes, *, reply: bytes = b"", headers: bytes | None = None) -> None:
        where = b" ".join(part for part in (subject.encode(), reply) if part)
        if headers is None:
            self._writer.write(b"PUB %b %d\r\n%b\r\n" % (where, len(body), body))
        else:
            sizes = (len(headers), len(headers) + len(body))
            self._writer.write(b"HPUB %b %d %d\r\n%b%b\r\n" % (where, *sizes, headers, body))

    def publish_junk(self, subject: str, *, good: bytes) -> int:
        """Publish every junk message; return how many there were."""
        junk: list[tuple[bytes, bytes, bytes | None]] = [
            (body, reply, None) for body in BODIES for reply in REPLIES
        ]
        junk += [(body, reply, headers) for body in (b"", good) for headers in HEADERS for reply in REPLIES]
        for body, reply, headers in junk:
            self.publish(subject, body, reply=reply, headers=headers)
        return len(junk)

    async def flush(self) -> None:
        """Return when the server has read every published message."""
        self._writer.write(b"PING\r\n")
        while (line := await self._reader.readline()) != b"PONG\r\n":
            assert line, "the server closed the connection"
            assert not line.startswith(b"-ERR"), line

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@pytest.fixture
async def raw_gateway(servers: FixtureServers, clean: None) -> AsyncIterator[RawUser]:
    raw = await RawUser.connect(servers, names.GATEWAY)
    yield raw
    await raw.close()


@pytest.fixture
async def quiet(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Iterator[None]]:
    """Check that a test logs no error but dead letters, no traceback, and no exception of a forgotten task."""
    import gc  # noqa: PLC0415 - asyncio logs an unretrieved exception when its task is collected

    yield iter(())
    await asyncio.sleep(0)
    gc.collect()
    lines = capsys.readouterr().out.splitlines()
    errors = [line for line in lines if "[error" in line and "message_dead_lettered" not in line]
    assert errors == []
    assert not [line for line in lines if "Traceback" in line]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_junk_requests_are_refused_and_the_next_good_one_is_answered(
    bus: Bus, kitchen_bus: Bus, raw_gateway: RawUser, quiet: object
) -> None:
    async def answer(check: CheckDelivery) -> DeliveryStatus:
        return DeliveryStatus(missing=check.items)

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, answer)
    good = b'{"items": []}'
    raw_gateway.publish_junk(names.KITCHEN_DELIVERY.subject, good=good)
    await raw_gateway.flush()
    answered = await bus.request(names.KITCHEN_DELIVERY, CHECK, deadline_s=5)
    assert answered == DeliveryStatus(missing=CHECK.items)


async def test_a_refusal_is_explained_in_one_ascii_line(bus: Bus, kitchen_bus: Bus, quiet: object) -> None:
    async def answer(check: CheckDelivery) -> DeliveryStatus:
        return DeliveryStatus(missing=check.items)

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, answer)
    for body in BODIES:
        refused = await bus.client.request(names.KITCHEN_DELIVERY.subject, body, timeout=5)
        headers = refused.headers or {}
        assert headers["Nats-Service-Error-Code"] == "400"
        assert 0 < len(headers["Nats-Service-Error"]) <= 300
        assert headers["Nats-Service-Error"].isascii()


async def test_service_discovery_requests_are_still_answered_after_junk(
    bus: Bus, kitchen_bus: Bus, servers: FixtureServers, quiet: object
) -> None:
    async def answer(_: CheckDelivery) -> DeliveryStatus:
        return DeliveryStatus()

    await kitchen_bus.serve(names.KITCHEN_DELIVERY, answer)
    raw = await RawUser.connect(servers, "admin")
    for verb in ("PING", "INFO", "STATS", "EXPLODE", "SCHEMA"):
        for subject in (f"$SRV.{verb}", f"$SRV.{verb}.cafeteria-kitchen", f"$SRV.{verb}.cafeteria-kitchen.x"):
            raw.publish_junk(subject, good=b"")
    await raw.flush()
    await raw.close()
    async with servers.bus_as("admin") as admin:
        for verb in ("PING", "INFO", "STATS"):
            shown = await admin.request(f"$SRV.{verb}.cafeteria-kitchen", timeout=5)
            assert b"cafeteria-kitchen" in shown.data


async def test_a_subscription_still_receives_events_after_junk(
    bus: Bus, servers: FixtureServers, quiet: object
) -> None:
    received: list[AvailabilityChanged] = []
    await bus.subscribe(names.AVAILABILITY, received.append)
    raw = await RawUser.connect(servers, names.STOCK)
    raw.publish_junk(names.AVAILABILITY.subject, good=b'{"items": 7}')
    raw.publish(names.AVAILABILITY.subject, b'{"items": []}')
    await raw.flush()
    await raw.close()
    await until(lambda: received)
    assert received == [AvailabilityChanged(items=())]


async def test_junk_in_a_stream_becomes_dead_letters_and_later_messages_are_read(
    bus: Bus,
    kitchen_bus: Bus,
    servers: FixtureServers,
    dead_letters: DeadLetters,
    stored_status: Any,
    projection_is_acknowledged: Callable[[], Awaitable[bool]],
    quiet: object,
) -> None:
    committed: list[Any] = []

    async def commit(events: list[Any]) -> list[None]:
        committed.extend(events)
        return [None] * len(events)

    raw = await RawUser.connect(servers, names.KITCHEN)
    row = stored_status(names.KITCHEN_STATUS)
    [good] = pack([row])
    sent = raw.publish_junk(names.KITCHEN_STATUS.subject, good=good.body)
    await raw.flush()
    await raw.close()
    async with (
        GroupCommit("read", commit) as group,
        Consumer(
            bus,
            names.GATEWAY_PROJECTION,
            names.KITCHEN_STATUS,
            group,
            dead_letters,
            lag=ConsumerLag(bus, names.GATEWAY_PROJECTION),
        ),
    ):
        await kitchen_bus.publish_stored([row])
        await until(projection_is_acknowledged, timeout_s=20)
    same_id = 2 * len(REPLIES)  # the server stores only the first of them
    stored = sent - same_id + 1 + 1
    async with servers.bus_as("admin") as admin:
        info = await admin.jetstream().stream_info(names.NOTIFICATION_STREAM.name)
    assert info.state.messages == stored
    good_ones = len(HEADERS) * len(REPLIES) - len(REPLIES) + 1
    assert len(committed) == good_ones
    async with servers.database_as_admin() as connection:
        letters = await connection.fetch("SELECT body FROM gateway.dead_letters")
    assert {letter["body"] for letter in letters} >= set(BODIES)
