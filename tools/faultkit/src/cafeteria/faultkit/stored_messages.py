"""Reads, deletes and republishes messages of the streams, with the administrator's rights."""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from cafeteria.chassis.messaging.items import ItemsDecoder, UnreadableItem, items_decoder_for
from cafeteria.contracts.channels import HEADER_MESSAGE_ID
from cafeteria.contracts.subjects import STREAMS, TOPICS
from cafeteria.faultkit.bus_admin import BusAdmin

POISON_ID = "poison"
"""Part of the message id of an unreadable message and its copies: a dead letter with it is no violation."""

DECODERS: dict[str, ItemsDecoder] = {
    topic.subject: items_decoder_for(topic.body)
    for topic in TOPICS
    if any(topic.subject in stream.subjects for stream in STREAMS)
}
"""Decoders by subject."""

_RAW_ITEMS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a stream. `stored_at` is the time as the server formats it."""

    stream: str
    sequence: int
    stored_at: str
    subject: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers.get(HEADER_MESSAGE_ID, "")

    @property
    def is_poison(self) -> bool:
        return self.id.startswith(POISON_ID)

    def id_again(self, what: str = "copy") -> str:
        """Return an id that the server has not seen, for a message made from this one."""
        return f"{POISON_ID if self.is_poison else what}-of-{self.sequence}-{self.stored_at}"

    def items(self) -> list[bytes] | None:
        """Return the items, not decoded; None if the body has no list of items."""
        return items_of(self.subject, self.body)


def items_of(subject: str, body: bytes) -> list[bytes] | None:
    """Return the items of a message's body, readable or not; None if it has no list of items."""
    decoder = DECODERS.get(subject)
    if decoder is None:
        return None
    try:
        return [bytes(item) for item in _RAW_LIST.decode(_RAW_ITEMS.decode(body)[decoder.field])]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
        return None


def is_readable(subject: str, item: bytes) -> bool:
    """Return whether a receiver can read this item of a message on `subject`."""
    try:
        [read] = DECODERS[subject].decode(packed(subject, [item]))
    except (msgspec.MsgspecError, KeyError, ValueError):
        return False
    return not isinstance(read, UnreadableItem)


def packed(subject: str, items: Sequence[bytes]) -> bytes:
    """Return the body of a message on `subject` with these items."""
    return b'{"%b":[%b]}' % (DECODERS[subject].field.encode(), b",".join(items))


async def read(bus: BusAdmin, stream: str, sequence: int) -> StoredMessage | None:
    """Read one message; None if there is none. Raises TimeoutError or NATS' errors."""
    found = await bus.message(stream, sequence)
    return None if found is None else _message(stream, found)


async def read_newest(bus: BusAdmin, stream: str, *, count: int) -> list[StoredMessage]:
    """Return up to `count` of the newest messages, the oldest of them first."""
    last = (await bus.stream(stream))["last_seq"]
    found = [await read(bus, stream, sequence) for sequence in range(max(1, last - count + 1), last + 1)]
    return [message for message in found if message is not None]


async def delete(bus: BusAdmin, message: StoredMessage) -> None:
    await bus.ask(f"STREAM.MSG.DELETE.{message.stream}", {"seq": message.sequence})


async def store_again(
    bus: BusAdmin, message: StoredMessage, *, message_id: str, body: bytes | None = None
) -> None:
    """Publish the message again with a new id, otherwise the same subject and headers; `body` replaces its own."""
    headers = message.headers | {HEADER_MESSAGE_ID: message_id}
    await bus.publish(message.subject, message.body if body is None else body, headers)


def _message(stream: str, found: dict[str, Any]) -> StoredMessage:
    return StoredMessage(
        stream=stream,
        sequence=found["seq"],
        stored_at=found["time"],
        subject=found["subject"],
        headers=_headers(found.get("hdrs")),
        body=base64.b64decode(found.get("data", "")),
    )


def _headers(encoded: str | None) -> dict[str, str]:
    """Decode headers from the base64 text of JetStream's API."""
    lines = base64.b64decode(encoded or "").decode(errors="replace").splitlines()[1:]
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
