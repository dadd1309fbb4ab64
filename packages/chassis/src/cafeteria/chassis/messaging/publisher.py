"""Publishes outbox rows to JetStream, packed: rows of one subject form one message of many items.

The server flushes each message to disk before it acknowledges it, so a message of 256 items costs as much as one of a
single item. A message's id is a digest of the ids of exactly its rows: a retry that packs other rows gets another id,
else the server would treat it as a duplicate and drop the new rows.
"""

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client

from cafeteria.chassis.messaging.envelope import headers_for
from cafeteria.chassis.messaging.errors import NotStored
from cafeteria.chassis.messaging.items import items_decoder_for
from cafeteria.chassis.messaging.jetstream_api import Answered
from cafeteria.chassis.messaging.outbox import OutboxRow
from cafeteria.contracts.channels import HEADER_MESSAGE_ID, MAX_ITEMS, MAX_MESSAGE_BYTES, Topic
from cafeteria.contracts.subjects import TOPICS

ACK_TIMEOUT_S = 5.0
TOPIC_OF: dict[str, Topic[Any]] = {topic.subject: topic for topic in TOPICS}


class PackedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message for JetStream. `row_ids` are the ids of the outbox rows in `body`, in order."""

    subject: str
    message_id: str
    body: bytes
    row_ids: tuple[int, ...]


_ACK_DECODER = msgspec.json.Decoder(Answered)


async def publish(client: Client, rows: Sequence[OutboxRow], *, sender: str) -> None:
    """Publish all messages at once, in the order of their rows. Returns when every row is stored.

    Raises NotStored with the stored rows, after every message got its acknowledgement or its time-out.
    """
    messages = pack(rows)
    outcomes = await asyncio.gather(
        *(_publish(client, message, sender=sender) for message in messages), return_exceptions=True
    )
    failures = [outcome for outcome in outcomes if outcome is not None]
    if not failures:
        return
    stored = [message for message, outcome in zip(messages, outcomes, strict=True) if outcome is None]
    raise NotStored(
        f"JetStream did not acknowledge {len(failures)} of {len(messages)} messages: {failures[0]}",
        stored_rows=tuple(row_id for message in stored for row_id in message.row_ids),
    ) from failures[0]


def pack(rows: Sequence[OutboxRow]) -> list[PackedMessage]:
    """Pack rows into the fewest messages: each has one subject, at most MAX_ITEMS items and MAX_MESSAGE_BYTES."""
    by_subject: dict[str, list[OutboxRow]] = {}
    for row in rows:
        by_subject.setdefault(row.subject, []).append(row)
    return [
        _message_of(subject, part)
        for subject, of_subject in by_subject.items()
        for part in _parts(of_subject)
    ]


def _parts(rows: Sequence[OutboxRow]) -> Iterator[list[OutboxRow]]:
    part: list[OutboxRow] = []
    size = 0
    for row in rows:
        if part and (len(part) == MAX_ITEMS or size + len(row.body) + _COMMA > MAX_MESSAGE_BYTES):
            yield part
            part, size = [], 0
        size = (size or _ENVELOPE) + len(row.body) + _COMMA
        part.append(row)
    yield part


_COMMA, _ENVELOPE = 1, len('{"orders":[]}')  # bytes around and between the items


def _message_of(subject: str, rows: Sequence[OutboxRow]) -> PackedMessage:
    field = items_decoder_for(TOPIC_OF[subject].body).field
    return PackedMessage(
        subject=subject,
        message_id=sha256(b"".join(row.message_id.bytes for row in rows)).hexdigest(),
        body=b'{"%b":[%b]}' % (field.encode(), b",".join(row.body for row in rows)),
        row_ids=tuple(row.id for row in rows),
    )


async def _publish(client: Client, message: PackedMessage, *, sender: str) -> None:
    headers = headers_for(sender, None, type_name=TOPIC_OF[message.subject].type_name)
    headers[HEADER_MESSAGE_ID] = message.message_id
    try:
        answer = await client.request(message.subject, message.body, timeout=ACK_TIMEOUT_S, headers=headers)
        error = _ACK_DECODER.decode(answer.data).error
    except (nats.errors.Error, TimeoutError, msgspec.MsgspecError) as failure:
        raise NotStored(f"{message.subject}: {failure!r}") from failure
    if error is not None:
        raise NotStored(f"{message.subject}: {error.description}")
