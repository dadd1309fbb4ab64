"""Publishing to JetStream: one atomic batch where many messages go to one stream, plain publishes otherwise.

With every message flushed to disk before it is acknowledged, 100 plain publishes cost 100 flushes (18 ms)
and one atomic batch of 100 costs four (3.4 ms); a single message goes faster plain (0.7 against 2.6 ms).
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from uuid import uuid4

import msgspec
import nats.errors

from cafeteria.chassis.bus.client import BusClient
from cafeteria.chassis.bus.codec import headers_for
from cafeteria.chassis.bus.errors import NotStored
from cafeteria.chassis.outbox import OutboxRow
from cafeteria.contracts.bus import STREAMS
from cafeteria.contracts.wire import HEADER_MESSAGE_ID

ATOMIC_FROM = 10  # messages; below it plain publishes are faster
ACK_TIMEOUT_S = 5.0
STREAM_OF = {subject: stream.name for stream in STREAMS for subject in stream.subjects}


class _ApiError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PubAck(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    count: int = 0
    error: _ApiError | None = None


_ACK_DECODER = msgspec.json.Decoder(_PubAck)


async def publish(client: BusClient, messages: Sequence[OutboxRow], *, sender: str) -> None:
    """To all their streams at once, in order within each. Raises NotStored, when all have answered or given up."""
    by_stream: dict[str, list[OutboxRow]] = {}
    for message in messages:
        by_stream.setdefault(STREAM_OF[message.subject], []).append(message)
    await _all_of(_publish_to_one_stream(client, share, sender=sender) for share in by_stream.values())


async def _publish_to_one_stream(client: BusClient, messages: list[OutboxRow], *, sender: str) -> None:
    try:
        if len(messages) < ATOMIC_FROM or not await _publish_atomically(client, messages, sender=sender):
            await _all_of(_publish_plainly(client, message, sender=sender) for message in messages)
    except (nats.errors.Error, TimeoutError) as error:
        raise NotStored(f"JetStream did not acknowledge: {error!r}") from error


async def _all_of(publishing: Iterable[Coroutine[None, None, None]]) -> None:
    """Whichever fails, none goes on when this has returned: what is sent next must not overtake it."""
    for outcome in await asyncio.gather(*publishing, return_exceptions=True):
        if outcome is not None:
            raise outcome


async def _publish_atomically(client: BusClient, messages: list[OutboxRow], *, sender: str) -> bool:
    """Whether the server took the batch; it refuses a whole batch for one message id that it knows."""
    batch_id = uuid4().hex
    outgoing = []
    for sequence, message in enumerate(messages, start=1):
        headers = _headers(message, sender)
        headers["Nats-Batch-Id"] = batch_id
        headers["Nats-Batch-Sequence"] = str(sequence)
        outgoing.append((message.subject, message.body, headers))
    *first, (subject, body, headers) = outgoing
    headers["Nats-Batch-Commit"] = "1"
    await client.publish_all(first)
    answer = await client.request(subject, body, timeout=ACK_TIMEOUT_S, headers=headers)
    ack = _ACK_DECODER.decode(answer.data)
    return ack.error is None and ack.count == len(messages)


async def _publish_plainly(client: BusClient, message: OutboxRow, *, sender: str) -> None:
    answer = await client.request(
        message.subject, message.body, timeout=ACK_TIMEOUT_S, headers=_headers(message, sender)
    )
    ack = _ACK_DECODER.decode(answer.data)
    if ack.error is not None:
        raise NotStored(f"JetStream refused a message on {message.subject}: {ack.error.description}")


def _headers(message: OutboxRow, sender: str) -> dict[str, str]:
    headers = headers_for(sender, message.traceparent, type_name=message.type_name)
    headers[HEADER_MESSAGE_ID] = str(message.message_id)
    return headers
