"""JetStream by hand: a relay that packs outbox rows into messages, and consumers with long-lived pull requests."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

import asyncpg
import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from cafeteria.bench.floor.batcher import BATCH_LIMIT
from cafeteria.bench.floor.shapes import (
    GATEWAY_STATUS,
    KITCHEN_STATUS,
    MAX_BYTES,
    MAX_ITEMS,
    TYPES,
    WORK,
    OutboxRow,
)
from cafeteria.contracts.subjects import STREAMS_API

RELAY_LIMIT = min(512, BATCH_LIMIT)
WINDOW = 16  # messages, each of up to MAX_ITEMS
ACK_TIMEOUT_S = 5.0

_OPENING = {WORK: b'{"orders":[', GATEWAY_STATUS: b'{"events":[', KITCHEN_STATUS: b'{"events":['}
_CLOSING = b"]}"
_BODY_LIMIT = MAX_BYTES - len(_OPENING[WORK]) - len(_CLOSING)

_READ = "SELECT id, subject, message_id, body FROM outbox ORDER BY id LIMIT $1"
_DELETE = "DELETE FROM outbox WHERE id = ANY($1)"

WRITE_OUTBOX = """
INSERT INTO outbox (order_id, version, subject, message_id, body)
SELECT order_id, version, subject, message_id, body FROM outbox_rows
WHERE order_id IN (SELECT id FROM updated) ORDER BY place
"""
"""The end of a statement; its CTE `updated` has the ids of the changed orders."""


async def relay(database: asyncpg.Connection, bus: Client, woken: asyncio.Event, *, sender: str) -> None:
    """Publish outbox rows in id order, packed into messages; delete them once the messages are acknowledged."""
    read, delete = await database.prepare(_READ), await database.prepare(_DELETE)
    while True:
        await woken.wait()
        woken.clear()
        rows = await read.fetch(RELAY_LIMIT)
        if not rows:
            continue
        by_subject: dict[str, list[asyncpg.Record]] = {}
        for row in rows:
            by_subject.setdefault(row["subject"], []).append(row)
        packs = [pack for subject_rows in by_subject.values() for pack in packed(subject_rows)]
        await asyncio.gather(*(_publish(bus, pack, sender=sender) for pack in packs))
        await delete.fetch([row["id"] for row in rows])
        if len(rows) == RELAY_LIMIT:
            woken.set()


def packed(rows: Iterable[asyncpg.Record]) -> Iterator[list[asyncpg.Record]]:
    """Split the rows of one subject into messages of at most MAX_ITEMS and MAX_BYTES."""
    pack: list[asyncpg.Record] = []
    size = 0
    for row in rows:
        length = len(row["body"]) + 1  # and a comma
        if pack and (len(pack) == MAX_ITEMS or size + length > _BODY_LIMIT):
            yield pack
            pack, size = [], 0
        pack.append(row)
        size += length
    if pack:
        yield pack


async def _publish(bus: Client, rows: list[asyncpg.Record], *, sender: str) -> None:
    """Publish one message. Its id is a digest of the ids of its rows, so a different pack is a different message."""
    subject = rows[0]["subject"]
    headers = {
        "Cafeteria-Sender": sender,
        "Cafeteria-Type": TYPES[subject],
        "Nats-Msg-Id": blake2b(b"".join(row["message_id"].bytes for row in rows), digest_size=16).hexdigest(),
    }
    body = _OPENING[subject] + b",".join([row["body"] for row in rows]) + _CLOSING
    answer = await bus.request(subject, body, timeout=ACK_TIMEOUT_S, headers=headers)
    if error := msgspec.json.decode(answer.data).get("error"):
        raise RuntimeError(f"JetStream refused: {error}")


async def pull(bus: Client, stream: str, consumer: str, callback: Callable[[Msg], None]) -> None:
    """Call back for every message of a consumer; one pull request covers many messages and is renewed in time."""
    inbox, outstanding = bus.new_inbox(), 0

    async def request_more() -> None:
        nonlocal outstanding
        outstanding += WINDOW
        request = msgspec.json.encode({"batch": WINDOW, "expires": 30_000_000_000})
        await bus.publish(f"{STREAMS_API}.CONSUMER.MSG.NEXT.{stream}.{consumer}", request, reply=inbox)

    async def on_message(message: Msg) -> None:
        nonlocal outstanding
        if message.reply.startswith("$JS.ACK."):
            outstanding -= 1
            callback(message)
        else:
            outstanding = 0  # the request has ended
        if outstanding <= WINDOW // 2:
            await request_more()

    await bus.subscribe(inbox, cb=on_message, pending_msgs_limit=0, pending_bytes_limit=0)
    await request_more()


async def acknowledge(bus: Client, messages: list[Msg]) -> None:
    for message in messages:
        await bus.publish(message.reply, b"+ACK")


def outbox_columns(messages: list[OutboxRow]) -> list[list[Any]]:
    return [
        [message.order_id for message in messages],
        [message.version for message in messages],
        [message.subject for message in messages],
        [message.message_id for message in messages],
        [message.body for message in messages],
    ]
