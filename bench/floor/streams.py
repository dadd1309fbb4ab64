"""JetStream by hand: batches out, standing pulls in."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from shapes import STREAM_OF, Message

from cafeteria.contracts.bus import STREAMS_API

ATOMIC_FROM = 10
RELAY_LIMIT = 512
WINDOW = 512
ACK_TIMEOUT_S = 5.0

_READ = """
SELECT id, order_id, version, subject, type_name, message_id, body FROM outbox ORDER BY id LIMIT $1
"""
_DELETE = "DELETE FROM outbox WHERE id = ANY($1)"

WRITE_OUTBOX = """
INSERT INTO outbox (order_id, version, subject, type_name, message_id, body)
SELECT order_id, version, subject, type_name, message_id, body FROM said
WHERE order_id IN (SELECT id FROM moved) ORDER BY place
"""
"""The end of a statement whose `moved` are the orders that moved and whose `said` are the messages."""


async def relay(database: asyncpg.Connection, bus: Client, woken: asyncio.Event, *, sender: str) -> None:
    """Outbox rows to their streams in id order; deleted once acknowledged."""
    read, delete = await database.prepare(_READ), await database.prepare(_DELETE)
    while True:
        await woken.wait()
        woken.clear()
        rows = await read.fetch(RELAY_LIMIT)
        if not rows:
            continue
        by_stream: dict[str, list[asyncpg.Record]] = {}
        for row in rows:
            by_stream.setdefault(STREAM_OF[row["subject"]], []).append(row)
        for share in by_stream.values():
            await _publish(bus, share, sender=sender)
        await delete.fetch([row["id"] for row in rows])
        if len(rows) == RELAY_LIMIT:
            woken.set()


async def _publish(bus: Client, rows: list[asyncpg.Record], *, sender: str) -> None:
    if len(rows) < ATOMIC_FROM:
        await asyncio.gather(*(_publish_last(bus, row, _headers(row, sender), expected=0) for row in rows))
        return
    batch_id = uuid4().hex
    for place, row in enumerate(rows, start=1):
        headers = _headers(row, sender) | {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(place)}
        if place < len(rows):
            await bus.publish(row["subject"], row["body"], headers=headers)
        else:
            headers["Nats-Batch-Commit"] = "1"
            await _publish_last(bus, row, headers, expected=len(rows))


async def _publish_last(bus: Client, row: asyncpg.Record, headers: dict[str, str], *, expected: int) -> None:
    answer = await bus.request(row["subject"], row["body"], timeout=ACK_TIMEOUT_S, headers=headers)
    ack = msgspec.json.decode(answer.data)
    if ack.get("error") or ack.get("count", 0) != expected:
        raise RuntimeError(f"JetStream refused: {ack}")


def _headers(row: asyncpg.Record, sender: str) -> dict[str, str]:
    return {
        "Cafeteria-Sender": sender,
        "Cafeteria-Type": row["type_name"],
        "Nats-Msg-Id": str(row["message_id"]),
    }


async def pull(bus: Client, stream: str, consumer: str, take: Callable[[Msg], None]) -> None:
    """One standing request for many messages, renewed while they flow."""
    inbox, owed = bus.new_inbox(), 0

    async def ask() -> None:
        nonlocal owed
        owed += WINDOW
        request = msgspec.json.encode({"batch": WINDOW, "expires": 30_000_000_000})
        await bus.publish(f"{STREAMS_API}.CONSUMER.MSG.NEXT.{stream}.{consumer}", request, reply=inbox)

    async def on_message(message: Msg) -> None:
        nonlocal owed
        if message.reply.startswith("$JS.ACK."):
            owed -= 1
            take(message)
        else:
            owed = 0  # the request has ended
        if owed <= WINDOW // 2:
            await ask()

    await bus.subscribe(inbox, cb=on_message, pending_msgs_limit=0, pending_bytes_limit=0)
    await ask()


async def acknowledge(bus: Client, messages: list[Msg]) -> None:
    for message in messages:
        await bus.publish(message.reply, b"+ACK")


def outbox_columns(messages: list[Message]) -> list[list[Any]]:
    return [
        [message.order_id for message in messages],
        [message.version for message in messages],
        [message.subject for message in messages],
        [message.type_name for message in messages],
        [message.message_id for message in messages],
        [message.body for message in messages],
    ]
