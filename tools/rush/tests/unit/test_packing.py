"""The relay's messages are counted by their items; a second try with more rows differs from other repeats."""

from uuid import UUID

import msgspec
import pytest

from cafeteria.contracts.subjects import GATEWAY_STATUS, KITCHEN_STATUS
from cafeteria.faultkit.stored_messages import StoredMessage
from cafeteria.rush.packing import MANY, MANY_AT_LEAST, Packing, PackingWatch

RELAYS_ID = "7" * 64


def message(
    *orders: int, sequence: int, message_id: str = RELAYS_ID, subject: str = GATEWAY_STATUS.subject
) -> StoredMessage:
    items = [{"order_id": str(UUID(int=order)), "version": 2, "status": "STOCK_VERIFIED"} for order in orders]
    return StoredMessage(
        stream="NOTIFICATION",
        sequence=sequence,
        stored_at="2026-03-18T17:00:00Z",
        subject=subject,
        headers={"Nats-Msg-Id": message_id},
        body=msgspec.json.encode({"events": items}),
    )


def counted(*messages: StoredMessage, kept_from: int = 1) -> Packing:
    watch = PackingWatch(bus=None)  # type: ignore[arg-type]  # only `look` uses it
    for each in messages:
        watch.count(each, kept_from=kept_from)
    return watch.packing


def test_messages_are_counted_by_their_items() -> None:
    packing = counted(message(1, sequence=1), message(2, 3, 4, sequence=2), message(5, 6, 7, sequence=3))
    assert (packing.messages, packing.items, packing.largest) == (3, 7, 3)
    assert dict(packing.histogram()) | {"1": 1, "3-4": 2} == dict(packing.histogram())


def test_every_size_has_a_bar() -> None:
    packing = Packing()
    packing.sizes.update(range(1, 257))
    assert sum(count for _, count in packing.histogram()) == 256


@pytest.mark.parametrize("message_id", ["copy-of-7-x", "poison-1f", "", "repacked-of-7-x-0"])
def test_messages_that_faults_store_are_not_counted(message_id: str) -> None:
    assert counted(message(1, 2, sequence=1, message_id=message_id)).messages == 0


def test_a_second_try_with_more_rows_is_packed_otherwise() -> None:
    assert counted(message(1, 2, sequence=1), message(1, 2, 3, sequence=2)).repacked == 1


@pytest.mark.parametrize(
    "again",
    [
        message(1, 2, sequence=2),
        message(1, 3, 4, sequence=2),
        message(2, sequence=2),
        message(1, 2, 3, sequence=2, subject=KITCHEN_STATUS.subject),
    ],
)
def test_another_repeat_is_not_a_second_try(again: StoredMessage) -> None:
    assert counted(message(1, 2, sequence=1), again).repacked == 0


def test_items_that_a_stream_lost_are_not_a_second_try() -> None:
    assert counted(message(1, 2, sequence=1), message(1, 2, 3, sequence=9), kept_from=5).repacked == 0


def test_a_whole_rush_reports_the_packing_that_it_did_not_test() -> None:
    packing = Packing(repacked=1)
    packing.sizes[MANY] = MANY_AT_LEAST - 1
    assert len(list(packing.shortfalls())) == 1
    packing.sizes[MANY + 1] = 1
    assert list(packing.shortfalls()) == []
    assert len(list(Packing().shortfalls())) == 2
