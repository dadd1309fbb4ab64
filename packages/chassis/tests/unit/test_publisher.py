"""Outbox rows are packed into few messages, in their order, none longer than the limit."""

from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from nats.aio.client import Client

from cafeteria.chassis.messaging import NotStored
from cafeteria.chassis.messaging.outbox import MAX_BODY_BYTES, OutboxRow
from cafeteria.chassis.messaging.publisher import pack, publish
from cafeteria.contracts.channels import HEADER_MESSAGE_ID, MAX_ITEMS, MAX_MESSAGE_BYTES, Topic
from cafeteria.contracts.subjects import GATEWAY_STATUS, WORK_PLACED


def row(number: int, *, subject: str = GATEWAY_STATUS.subject, size: int = 0) -> OutboxRow:
    body = msgspec.json.encode({"number": number, "x": "x" * size})
    return OutboxRow(number, subject, UUID(int=number), body)


def items_of(body: bytes) -> list[int]:
    [items] = msgspec.json.decode(body).values()
    return [item["number"] for item in items]


def test_rows_of_one_subject_become_one_message_in_their_order() -> None:
    rows = [row(number, subject=(GATEWAY_STATUS, WORK_PLACED)[number % 2].subject) for number in range(7)]
    status, work = pack(rows)
    assert (status.subject, items_of(status.body), status.row_ids) == (
        GATEWAY_STATUS.subject,
        [0, 2, 4, 6],
        (0, 2, 4, 6),
    )
    assert (work.subject, items_of(work.body)) == (WORK_PLACED.subject, [1, 3, 5])
    assert list(msgspec.json.decode(status.body)) == ["events"]
    assert list(msgspec.json.decode(work.body)) == ["orders"]


def test_a_message_holds_no_more_items_than_a_reader_expects() -> None:
    messages = pack([row(number) for number in range(MAX_ITEMS * 2 + 1)])
    assert [len(message.row_ids) for message in messages] == [MAX_ITEMS, MAX_ITEMS, 1]
    assert [number for message in messages for number in items_of(message.body)] == list(
        range(MAX_ITEMS * 2 + 1)
    )


@pytest.mark.parametrize("size", [900, 1_400, 5_000, MAX_BODY_BYTES - 30])
@pytest.mark.parametrize("topic", [GATEWAY_STATUS, WORK_PLACED])
def test_a_message_never_exceeds_the_size_limit(size: int, topic: Topic[Any]) -> None:
    rows = [row(number, size=size, subject=topic.subject) for number in range(600)]
    messages = pack(rows)
    assert all(len(message.body) <= MAX_MESSAGE_BYTES for message in messages)
    fullest = max(len(message.body) for message in messages)
    assert fullest > MAX_MESSAGE_BYTES - len(rows[-1].body) - 20 or len(messages[0].row_ids) == MAX_ITEMS
    assert [number for message in messages for number in items_of(message.body)] == list(range(600))


def test_a_message_id_stands_for_exactly_the_rows_in_it() -> None:
    """Two schemas share a stream, and the row ids of each count from 1, so that they cannot identify a message."""
    rows = [row(1), row(2), row(3)]
    [whole] = pack(rows)
    [same] = pack(rows)
    [fewer] = pack(rows[:2])
    [other] = pack([OutboxRow(each.id, each.subject, UUID(int=each.id + 100), each.body) for each in rows])
    assert whole.message_id == same.message_id
    assert len({whole.message_id, fewer.message_id, other.message_id}) == 3


class Answer:
    def __init__(self, data: bytes) -> None:
        self.data = data


class RefusingClient:
    """A client whose server refuses messages of one subject with `answer`, and stores all others."""

    def __init__(self, subject: str, answer: bytes | Exception) -> None:
        self.subject, self.answer = subject, answer
        self.ids: list[str] = []

    async def request(self, subject: str, body: bytes, *, timeout: float, headers: dict[str, str]) -> Answer:
        self.ids.append(headers[HEADER_MESSAGE_ID])
        if subject != self.subject:
            return Answer(b'{"stream":"KITCHEN","seq":1}')
        if isinstance(self.answer, Exception):
            raise self.answer
        return Answer(self.answer)


@pytest.mark.parametrize(
    "answer", [TimeoutError(), b'{"error":{"code":503,"description":"no space"}}', b"not JSON"]
)
async def test_an_error_lists_the_rows_that_were_stored(answer: bytes | Exception) -> None:
    rows = [row(1), row(2, subject=WORK_PLACED.subject), row(3), row(4, subject=WORK_PLACED.subject)]
    client = RefusingClient(GATEWAY_STATUS.subject, answer)
    with pytest.raises(NotStored) as raised:
        # publishing uses no other method of a client
        await publish(cast("Client", client), rows, sender="gateway")
    assert raised.value.stored_rows == (2, 4)
    assert len(client.ids) == 2
