"""A consumer that might hide a message says that it is lost; it never hands out what comes after."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from cafeteria.chassis.bus.ephemeral import WATCH_S, EphemeralConsumer


class FakeBus:
    """As much of a bus as a consumer needs to be told things."""

    service = "notification"

    def __init__(self) -> None:
        self.client = self
        self.asked: list[str] = []

    def inbox(self) -> str:
        return "_INBOX.here"

    async def publish(self, subject: str, _payload: bytes, *, reply: str) -> None:
        assert reply == self.inbox()
        self.asked.append(subject)


def delivery(sequence: int, delivered: int, *, pending: int = 0, domain: bool = False) -> Any:
    extra = "hub.ACCOUNT." if domain else ""
    return SimpleNamespace(
        reply=f"$JS.ACK.{extra}NOTIFICATION.one.1.{sequence}.{delivered}.1700000000000000000.{pending}"
        + (".token" if domain else ""),
        subject="order.status.v1.gateway",
        data=b"%d" % sequence,
        headers={"Nats-Msg-Id": f"id-{sequence}"},
    )


def said(status: str, description: str = "", **headers: str) -> Any:
    return SimpleNamespace(
        reply="", data=b"", headers={"Status": status, "Description": description, **headers}
    )


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def consumer(bus: FakeBus) -> EphemeralConsumer:
    return EphemeralConsumer(bus, "NOTIFICATION")  # type: ignore[arg-type]


@pytest.mark.parametrize("domain", [False, True])
async def test_messages_come_out_in_order_with_their_place(
    consumer: EphemeralConsumer, *, domain: bool
) -> None:
    consumer._on_message(delivery(7, 1, pending=1, domain=domain))
    consumer._on_message(delivery(9, 2, domain=domain))  # a purged sequence is no gap
    messages = await consumer.next_messages(10)
    assert [message.sequence for message in messages] == [7, 9]
    assert messages[0].message_id == "id-7"
    assert messages[0].stored_at.timestamp() == 1_700_000_000
    assert consumer.behind == 0


async def test_after_a_gap_nothing_more_comes_out(consumer: EphemeralConsumer) -> None:
    consumer._on_message(delivery(7, 1))
    consumer._on_message(delivery(9, 3))
    assert consumer.lost is not None
    assert await consumer.next_messages(10) == []


@pytest.mark.parametrize(
    "message", [said("409", "Consumer Deleted"), said("503"), said("409", "Leadership Change")]
)
async def test_a_consumer_that_is_no_more_is_lost(consumer: EphemeralConsumer, message: Any) -> None:
    consumer._on_message(message)
    assert consumer.lost == f"{message.headers['Status']} {message.headers['Description']}".strip()
    assert await consumer.next_messages(10) == []


async def test_a_request_that_ended_is_made_anew(consumer: EphemeralConsumer, bus: FakeBus) -> None:
    await consumer._keep_asking()
    consumer._on_message(said("100", "Idle Heartbeat"))
    await consumer._keep_asking()
    assert len(bus.asked) == 1
    consumer._on_message(said("408", "Request Timeout", **{"Nats-Pending-Messages": "1024"}))
    await consumer._keep_asking()
    assert len(bus.asked) == 2
    assert consumer.lost is None


async def test_a_lost_consumer_keeps_its_first_reason(consumer: EphemeralConsumer) -> None:
    consumer.lose("reconnected")
    consumer.lose("silence")
    assert consumer.lost == "reconnected"


async def test_what_was_purged_is_not_waited_for(consumer: EphemeralConsumer) -> None:
    await consumer._keep_asking()
    consumer._on_message(delivery(7, 1, pending=2000))
    assert len(await consumer.next_messages(10)) == 1
    assert consumer.behind == 2000
    asyncio.get_running_loop().call_later(2 * WATCH_S, consumer.lose, "closing")
    assert await consumer.next_messages(10) == []
    assert consumer.behind == 0
