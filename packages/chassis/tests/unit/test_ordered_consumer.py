"""A consumer that may have missed a message reports itself lost; it never returns a later message."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from cafeteria.chassis.messaging import Bus, ordered_consumer
from cafeteria.chassis.messaging.ordered_consumer import OrderedConsumer, StreamState
from cafeteria.chassis.messaging.pull_requests import PULL_MESSAGES

NOW = b"2026-01-01T12:00:00Z"


class FakeBus:
    """As much of a bus and its client as a consumer needs.

    `asked` lists the subjects of pull requests; `inboxes` has the callback of each subscription.
    """

    service = "notification"
    api_prefix = "$JS.API"
    is_connected = True
    is_closed = False

    def __init__(self) -> None:
        self.client = self
        self.asked: list[str] = []
        self.inboxes: dict[str, Any] = {}
        self.waiting = 1
        self.delivered = 0

    def new_inbox(self) -> str:
        return f"_INBOX.{len(self.asked)}"

    async def listen(self, inbox: str, callback: Any) -> Any:
        self.inboxes[inbox] = callback

        async def unsubscribe() -> None:
            del self.inboxes[inbox]

        return SimpleNamespace(unsubscribe=unsubscribe)

    async def publish(self, subject: str, _payload: bytes, *, reply: str) -> None:
        assert reply in self.inboxes
        self.asked.append(subject)

    async def request(self, subject: str, _payload: bytes, **_: Any) -> Any:
        answers = {
            "STREAM.INFO": b'{"created": "now", "state": {"last_seq": 40}, "ts": "%s"}' % NOW,
            "STREAM.MSG.GET": b'{"message": {"seq": 7}}',
            "CONSUMER.INFO": b'{"num_waiting": %d, "delivered": {"consumer_seq": %d}, "ts": "%s"}'
            % (self.waiting if self.asked else 0, self.delivered, NOW),
            "CONSUMER.RESET": b'{"ts": "%s"}' % NOW,
        }
        [answer] = [body for verb, body in answers.items() if f".{verb}." in subject]
        return SimpleNamespace(data=answer)

    async def send(self, message: Any) -> None:
        """Deliver a message to the oldest inbox that is still subscribed."""
        await next(iter(self.inboxes.values()))(message)


def delivery(sequence: int, delivered: int, *, pending: int = 0, domain: bool = False) -> Any:
    extra = "hub.ACCOUNT." if domain else ""
    place = f"NOTIFICATION.one.1.{sequence}.{delivered}.1700000000000000000.{pending}"
    return Msg(
        cast("Client", None),  # no test answers the message
        "order.status.v1.gateway",
        f"$JS.ACK.{extra}{place}" + (".token" if domain else ""),
        b"%d" % sequence,
        {"Nats-Msg-Id": f"id-{sequence}"},
    )


def status(code: str, description: str = "", **headers: str) -> Any:
    return SimpleNamespace(
        reply="", data=b"", headers={"Status": code, "Description": description, **headers}
    )


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
async def consumer(bus: FakeBus, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OrderedConsumer]:
    """A consumer that starts after message 6."""
    monkeypatch.setattr(ordered_consumer, "WATCH_S", 0.1)
    async with OrderedConsumer(
        cast("Bus", bus), "NOTIFICATION"
    ) as consumer:  # with all that it uses of a bus
        state = StreamState(epoch="now", last_sequence=40, server_time=datetime.now(UTC))
        await consumer.start(state, after=6)
        yield consumer


@pytest.mark.parametrize("domain", [False, True])
async def test_messages_are_returned_in_order_with_their_sequence(
    consumer: OrderedConsumer, *, domain: bool
) -> None:
    consumer._on_message(delivery(7, 1, pending=1, domain=domain))
    consumer._on_message(delivery(9, 2, domain=domain))  # the missing sequence was purged: no gap
    messages = await consumer.next_messages(10)
    assert [message.sequence for message in messages] == [7, 9]
    assert messages[0].message_id == "id-7"
    assert messages[0].stored_at.timestamp() == 1_700_000_000
    assert consumer.unread == 0


async def test_after_a_gap_no_further_message_is_returned(consumer: OrderedConsumer) -> None:
    consumer._on_message(delivery(7, 1))
    consumer._on_message(delivery(9, 3))
    assert consumer.lost is not None
    assert [message.sequence for message in await consumer.next_messages(10)] == [7]
    assert await consumer.next_messages(10) == []


@pytest.mark.parametrize(
    "message", [status("409", "Consumer Deleted"), status("503"), status("409", "Leadership Change")]
)
async def test_a_consumer_that_the_server_ended_is_lost(
    consumer: OrderedConsumer, bus: FakeBus, message: Any
) -> None:
    await bus.send(message)
    assert consumer.lost == f"{message.headers['Status']} {message.headers['Description']}".strip()
    assert await consumer.next_messages(10) == []


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the fake has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_pull_request_that_ended_is_followed_by_another(
    consumer: OrderedConsumer, bus: FakeBus
) -> None:
    await bus.send(status("100", "Idle Heartbeat"))
    await asyncio.sleep(0)
    assert len(bus.asked) == 1
    for number, (code, why) in enumerate(
        [("408", "Request Timeout"), ("409", "Message Size Exceeds MaxBytes")]
    ):
        await bus.send(status(code, why, **{"Nats-Pending-Messages": "1024"}))
        await until(partial(_has_asked, bus, 2 + number))
    assert len(bus.inboxes) == 1
    assert consumer.lost is None


def _has_asked(bus: FakeBus, times: int) -> bool:
    return len(bus.asked) == times


async def test_a_filled_pull_request_releases_its_inbox(consumer: OrderedConsumer, bus: FakeBus) -> None:
    for number in range(1, PULL_MESSAGES + 1):
        await bus.send(delivery(number + 6, number))
    assert len(await consumer.next_messages(PULL_MESSAGES)) == PULL_MESSAGES
    await until(lambda: len(bus.asked) == 2)
    assert len(bus.inboxes) == 1


async def test_messages_that_another_process_received_are_a_gap(
    consumer: OrderedConsumer, bus: FakeBus
) -> None:
    await bus.send(delivery(7, 1))
    assert len(await consumer.next_messages(10)) == 1
    bus.delivered = 3
    assert await consumer.next_messages(10) == []
    assert consumer.lost is None, "the deliveries may still arrive"
    assert await consumer.next_messages(10) == []
    assert consumer.lost == "gap: 3 deliveries, of which 1 arrived"


async def test_a_consumer_that_another_process_also_uses_is_lost(
    consumer: OrderedConsumer, bus: FakeBus
) -> None:
    bus.waiting = 2
    assert await consumer.next_messages(10) == []
    assert consumer.lost == "another process reads by the same consumer"


async def test_a_consumer_that_another_process_has_reset_is_lost(
    consumer: OrderedConsumer, bus: FakeBus
) -> None:
    await bus.send(delivery(8, 1))
    assert consumer.lost == "gap: expected message 7 first, got 8"
    assert await consumer.next_messages(10) == []


async def test_a_lost_consumer_keeps_its_first_reason(consumer: OrderedConsumer) -> None:
    consumer.lose("reconnected")
    consumer.lose("silence")
    assert consumer.lost == "reconnected"


async def test_purged_messages_are_not_counted_as_unread(consumer: OrderedConsumer, bus: FakeBus) -> None:
    await bus.send(delivery(7, 1, pending=2000))
    assert len(await consumer.next_messages(10)) == 1
    assert consumer.unread == 2000
    assert await consumer.next_messages(10) == []
    assert consumer.unread == 0
