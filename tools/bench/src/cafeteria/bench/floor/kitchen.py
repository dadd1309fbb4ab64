"""The floor's kitchen, written by hand: enqueue, cook and relay. Cooking takes no time; 50 stations, counted in memory."""

import asyncio
from collections import deque
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from cafeteria.bench.floor.batcher import Batcher, new_id, run_all
from cafeteria.bench.floor.servers import nats, postgres, report_ready, run_service
from cafeteria.bench.floor.shapes import (
    KITCHEN_STATUS,
    READY_VERSION,
    CookOrder,
    CookOrders,
    OrderStatusChanged,
    OutboxRow,
    StatusTime,
    encode,
)
from cafeteria.bench.floor.streams import WRITE_OUTBOX, acknowledge, outbox_columns, pull, relay

STATIONS = 50
ENQUEUE_LIMIT = 1024

_decode = msgspec.json.Decoder(CookOrders).decode

INSERT = """
INSERT INTO kitchen_orders (id, order_id, student_id, status, version, lines, status_times, received_at)
SELECT id, order_id, student_id, 'QUEUED', 2, lines, status_times, $6
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::jsonb[])
    AS ticket (id, order_id, student_id, lines, status_times)
ON CONFLICT (order_id) DO NOTHING RETURNING id
"""

MOVE = f"""
WITH move AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::jsonb[])
        AS move (id, history_id, status, version, step)
), updated_tickets AS (
    UPDATE kitchen_orders AS t SET status = move.status, version = move.version,
        status_times = t.status_times || move.step,
        started_at = coalesce(t.started_at, $6), due_at = coalesce(t.due_at, $6),
        completed_at = CASE move.status WHEN 'READY' THEN $6 END, confirm_at = $6 + interval '5 seconds'
    FROM move WHERE t.id = move.id AND t.version = move.version - 1
    RETURNING t.id, t.order_id, move.history_id, move.status
), history AS (
    INSERT INTO order_status_history (id, kitchen_order_id, status, changed_at)
    SELECT history_id, id, status, $6 FROM updated_tickets
), updated AS (
    SELECT order_id AS id FROM updated_tickets
), outbox_rows AS (
    SELECT * FROM unnest($7::uuid[], $8::smallint[], $9::text[], $10::uuid[], $11::bytea[])
        WITH ORDINALITY AS given (order_id, version, subject, message_id, body, place)
), written AS ({WRITE_OUTBOX})
SELECT count(*) FROM updated
"""  # noqa: S608 - assembled from constants


class Ticket(msgspec.Struct, kw_only=True):
    id: UUID
    order_id: UUID
    student_id: str
    path: tuple[StatusTime, ...]


class Kitchen:
    def __init__(self, bus: Client) -> None:
        self.bus = bus
        self.batcher = Batcher(self._enqueue, limit=ENQUEUE_LIMIT)
        self.woken = asyncio.Event()
        self._work = asyncio.Event()
        self._queue: deque[Ticket] = deque()

    async def connect(self) -> None:
        self._insert = await (await postgres("kitchen")).prepare(INSERT)
        self._move = await (await postgres("kitchen")).prepare(MOVE)

    def on_work(self, message: Msg) -> None:
        orders = _decode(message.data).orders
        self.batcher.add((message, orders), size=len(orders))

    async def _enqueue(self, batch: list[tuple[Msg, list[CookOrder]]]) -> None:
        """Store a ticket for each order of the messages in one commit, then acknowledge the messages."""
        work = [order for _, orders in batch for order in orders]
        tickets = [_ticket(order) for order in work]
        rows = await self._insert.fetch(
            [ticket.id for ticket in tickets],
            [ticket.order_id for ticket in tickets],
            [ticket.student_id for ticket in tickets],
            [encode(order.lines).decode() for order in work],
            [encode(ticket.path).decode() for ticket in tickets],
            datetime.now(UTC),
        )
        await acknowledge(self.bus, [message for message, _ in batch])
        new = {row[0] for row in rows}
        self._queue.extend(ticket for ticket in tickets if ticket.id in new)
        self._work.set()

    async def cook(self) -> None:
        """Start queued tickets and finish those of the pass before; each pass is one commit of ticket, history and outbox."""
        cooking: list[Ticket] = []
        while True:
            await self._work.wait()
            self._work.clear()
            while self._queue or cooking:
                due, cooking = (
                    cooking,
                    [self._queue.popleft() for _ in range(min(STATIONS, len(self._queue)))],
                )
                await self._write(due, cooking)
                self.woken.set()

    async def _write(self, due: list[Ticket], started: list[Ticket]) -> None:
        at = datetime.now(UTC)
        steps = [StatusTime(status="READY", version=READY_VERSION, at=at)] * len(due)
        steps += [StatusTime(status="IN_KITCHEN", version=3, at=at)] * len(started)
        tickets = [*due, *started]
        messages = [_move(ticket, step) for ticket, step in zip(tickets, steps, strict=True)]
        encoded = {step.version: encode(step).decode() for step in steps}
        await self._move.fetch(
            [ticket.id for ticket in tickets],
            [new_id() for _ in tickets],
            [step.status for step in steps],
            [step.version for step in steps],
            [encoded[step.version] for step in steps],
            at,
            *outbox_columns(messages),
        )


def _ticket(order: CookOrder) -> Ticket:
    return Ticket(id=new_id(), order_id=order.order_id, student_id=order.student_id, path=order.earlier)


def _move(ticket: Ticket, step: StatusTime) -> OutboxRow:
    """Return the event of the step, and add the step to the ticket's path."""
    event = OrderStatusChanged(
        order_id=ticket.order_id,
        student_id=ticket.student_id,
        status=step.status,
        version=step.version,
        at=step.at,
        earlier=ticket.path,
    )
    ticket.path = (*ticket.path, step)
    return OutboxRow(
        order_id=ticket.order_id,
        version=step.version,
        subject=KITCHEN_STATUS,
        message_id=new_id(),
        body=encode(event),
    )


async def main() -> None:
    bus = await nats("kitchen")
    kitchen = Kitchen(bus)
    await kitchen.connect()
    await pull(bus, "KITCHEN", "kitchen-work", kitchen.on_work)
    report_ready()
    await run_all(
        kitchen.batcher.run(),
        kitchen.cook(),
        relay(await postgres("kitchen"), bus, kitchen.woken, sender="kitchen"),
    )


if __name__ == "__main__":
    run_service(main)
