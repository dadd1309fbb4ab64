"""The floor's notification, written by hand: record, and the event streams of the students."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Litestar, Request, get
from litestar.response import Stream
from nats.aio.client import Client
from nats.aio.msg import Msg

from cafeteria.bench.floor.batcher import Batcher, new_id, run_all
from cafeteria.bench.floor.servers import nats, postgres, report_ready, run_service, serve
from cafeteria.bench.floor.shapes import (
    READY_VERSION,
    OrderStatusChanged,
    OrderStatusesChanged,
    StatusTime,
    encode,
)
from cafeteria.bench.floor.streams import pull
from cafeteria.bench.floor.tokens import Tokens
from cafeteria.contracts.subjects import NOTIFICATION_READERS, STREAMS_API

RECORD_LIMIT = 512
MARK_EVERY_S = 0.25

_decode = msgspec.json.Decoder(OrderStatusesChanged).decode

RECORD = """
WITH counter AS (
    UPDATE position_counter SET position = position + cardinality($1::uuid[]), stream_sequence = $8
    RETURNING position - cardinality($1::uuid[]) AS start
)
INSERT INTO notifications
    (id, order_id, student_id, status_sent, version, status_at, reason, sent_at, position)
SELECT id, order_id, student_id, status, version, at, reason, $9, start + place
FROM counter, unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[], $7::text[])
    WITH ORDINALITY AS given (id, order_id, student_id, status, version, at, reason, place)
ON CONFLICT (order_id, version) DO NOTHING
RETURNING position, (SELECT start FROM counter)
"""
MARK = "UPDATE notifications SET delivered_at = $2 WHERE position = ANY($1) AND delivered_at IS NULL"
BEGIN = """
INSERT INTO position_counter VALUES (1, 0, '', 0) ON CONFLICT (id) DO UPDATE SET position = position_counter.position
RETURNING stream_sequence
"""


class Notification:
    def __init__(self, bus: Client, tokens: Tokens) -> None:
        self.bus = bus
        self.tokens = tokens
        self.batcher = Batcher(self._record, limit=RECORD_LIMIT)
        self._streams: defaultdict[str, set[asyncio.Queue[tuple[int, bytes]]]] = defaultdict(set)
        self._versions: dict[Any, int] = {}  # the last recorded version of each unfinished order
        self._delivered: list[int] = []

    async def connect(self) -> None:
        log = await postgres("notification")
        after = await log.fetchval(BEGIN)
        self._record_statement = await log.prepare(RECORD)
        self._mark_statement = await (await postgres("notification")).prepare(MARK)
        await pull(self.bus, "NOTIFICATION", await self._ordered_consumer(after), self.on_statuses)

    async def _ordered_consumer(self, after: int) -> str:
        name = NOTIFICATION_READERS.names[0]
        subject = f"{STREAMS_API}.CONSUMER.RESET.NOTIFICATION.{name}"
        answer = await self.bus.request(subject, msgspec.json.encode({"seq": after + 1}), timeout=5)
        if error := msgspec.json.decode(answer.data).get("error"):
            raise RuntimeError(error)
        return name

    def on_statuses(self, message: Msg) -> None:
        events = _decode(message.data).events
        self.batcher.add((message, events), size=len(events))

    async def _record(self, batch: list[tuple[Msg, list[OrderStatusChanged]]]) -> None:
        """Record a batch of events in one commit, then push them. Earlier statuses that the log lacks are recorded too."""
        steps = [each for _, events in batch for event in events for each in self._unrecorded(event)]
        sequence = int(batch[-1][0].reply.split(".")[5])
        rows = await self._record_statement.fetch(
            [new_id() for _ in steps],
            [event.order_id for event, _ in steps],
            [event.student_id for event, _ in steps],
            [step.status for _, step in steps],
            [step.version for _, step in steps],
            [step.at for _, step in steps],
            [event.reason if step.status == "REJECTED" else None for event, step in steps],
            sequence,
            datetime.now(UTC),
        )
        for position, start in rows:
            event, step = steps[position - start - 1]
            self._push(position, event, step)

    def _unrecorded(self, event: OrderStatusChanged) -> list[tuple[OrderStatusChanged, StatusTime]]:
        recorded = self._versions.get(event.order_id, 0)
        own = StatusTime(status=event.status, version=event.version, at=event.at)
        if event.version >= READY_VERSION or event.status in ("REJECTED", "CANCELLED"):
            self._versions.pop(event.order_id, None)
        else:
            self._versions[event.order_id] = max(recorded, event.version)
        return [(event, step) for step in (*event.earlier, own) if step.version > recorded]

    def _push(self, position: int, event: OrderStatusChanged, step: StatusTime) -> None:
        queues = self._streams.get(event.student_id)
        if not queues:
            return
        data = encode(
            {"order_id": event.order_id, "status": step.status, "version": step.version, "at": step.at}
        )
        block = b"id: %d\nevent: order.status\ndata: %b\n\n" % (position, data)
        for queue in queues:
            queue.put_nowait((position, block))

    async def events(self, student_id: str) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._streams[student_id].add(queue)
        try:
            yield b"retry: 1000\n\n"
            while True:
                waiting = [await queue.get()]
                while not queue.empty():
                    waiting.append(queue.get_nowait())
                yield b"".join([block for _, block in waiting])
                self._delivered.extend(position for position, _ in waiting)
        finally:
            self._streams[student_id].discard(queue)

    async def mark_delivered(self) -> None:
        while True:
            await asyncio.sleep(MARK_EVERY_S)
            if self._delivered:
                positions, self._delivered = self._delivered, []
                await self._mark_statement.fetch(positions, datetime.now(UTC))


@get("/v1/events")
async def follow(request: Request[Any, Any, Any]) -> Stream:
    notification: Notification = request.app.state.notification
    student_id = notification.tokens.student_of(request.headers.get("authorization", "").encode())
    if student_id is None:
        return Stream([b""], status_code=401)
    return Stream(notification.events(student_id), media_type="text/event-stream")


async def main() -> None:
    bus = await nats("notification")
    notification = Notification(bus, await Tokens.of_identity(bus))
    await notification.connect()
    app = Litestar([follow], openapi_config=None, logging_config=None, pdb_on_exception=False)
    app.state.notification = notification
    report_ready()
    await run_all(notification.batcher.run(), notification.mark_delivered(), serve(app))


if __name__ == "__main__":
    run_service(main)
