"""Stored messages are read with their items, and judged as dead letters."""

from base64 import b64encode
from typing import Any

import msgspec
import pytest

from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.subjects import GATEWAY_STATUS
from cafeteria.faultkit.history import History
from cafeteria.faultkit.invariants import nothing_is_left_on_the_way
from cafeteria.faultkit.snapshot import Snapshot, StoredLetter
from cafeteria.faultkit.stored_messages import is_readable, packed, read

STATUS = GATEWAY_STATUS.subject
EVENT = msgspec.json.encode(
    {
        "order_id": "00000000-0000-0000-0000-000000000007",
        "student_id": "210041101",
        "status": "PENDING",
        "version": 1,
        "at": "2026-03-18T17:00:00Z",
    }
)


class OneMessageBus:
    """A bus with one message, in the form of JetStream's API."""

    async def message(self, _stream: str, sequence: int) -> dict[str, Any]:
        return {
            "seq": sequence,
            "time": "2026-03-18T17:00:00Z",
            "subject": STATUS,
            "hdrs": b64encode(
                b"NATS/1.0\r\nNats-Msg-Id: poison-1f\r\nCafeteria-Sender: x:y\r\n\r\n"
            ).decode(),
            "data": b64encode(packed(STATUS, [EVENT, b"null"])).decode(),
        }


async def test_a_message_is_read_with_its_headers_and_items() -> None:
    message = await read(OneMessageBus(), "NOTIFICATION", 7)  # type: ignore[arg-type]
    assert message is not None
    assert message.headers == {"Nats-Msg-Id": "poison-1f", "Cafeteria-Sender": "x:y"}
    assert message.items() == [EVENT, b"null"]
    assert message.is_poison
    assert message.id_again() == "poison-of-7-2026-03-18T17:00:00Z"


def test_the_event_of_these_tests_can_be_read() -> None:
    assert msgspec.json.decode(EVENT, type=OrderStatusChanged).version == 1
    assert is_readable(STATUS, EVENT)


def violations_of(letter: StoredLetter) -> list[str]:
    stored = Snapshot(
        items=(),
        orders={},
        decisions={},
        taken={},
        tickets=(),
        notifications=(),
        outbox_rows=0,
        dead_letters=(letter,),
    )
    return list(nothing_is_left_on_the_way(stored, History()))


def letter(**changes: Any) -> StoredLetter:
    facts = {"subject": STATUS, "message_id": "poison-1f", "item": 1, "body": b"null", "error": "no"}
    return StoredLetter(**{**facts, **changes})


@pytest.mark.parametrize("dead", [letter(), letter(item=-1, body=b"{"), letter(message_id="poison-of-7-x")])
def test_poison_from_faults_may_be_a_dead_letter(dead: StoredLetter) -> None:
    assert violations_of(dead) == []


@pytest.mark.parametrize(
    ("dead", "reason"),
    [
        (letter(message_id="7f"), "became a dead letter"),
        (letter(message_id=None), "became a dead letter"),
        (letter(item=-1, body=packed(STATUS, [EVENT, b"null"])), "with all of its items"),
        (letter(item=0, body=EVENT), "that can be read"),
    ],
)
def test_a_wrong_dead_letter_is_reported(dead: StoredLetter, reason: str) -> None:
    [sentence] = violations_of(dead)
    assert reason in sentence
