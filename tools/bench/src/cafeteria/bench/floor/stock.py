"""The floor's stock, written by hand: decide. A batch is one read and one write, which fails whole if a row has changed."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from cafeteria.bench.floor.batcher import Batcher, new_id, run_all
from cafeteria.bench.floor.servers import nats, postgres, report_ready, run_service
from cafeteria.bench.floor.shapes import (
    RESERVE,
    ItemPrice,
    Line,
    OrdersDecided,
    ReserveOrders,
    ReserveStock,
    StockDecided,
    encode,
)

DECIDE_LIMIT = 512
LIFETIME_MS = 60_000

_decode = msgspec.json.Decoder(ReserveOrders).decode

READ = """
SELECT items.id, name, price, on_sale, quantity, version
FROM items JOIN inventory ON inventory.item_id = items.id WHERE items.id = ANY($1)
"""
READ_DECISIONS = "SELECT order_id, decision, reason, lines::text FROM reservations WHERE order_id = ANY($1)"

WRITE = """
WITH updated AS (
    UPDATE inventory SET quantity = inventory.quantity - taken.quantity, version = inventory.version + 1,
        updated_at = $1
    FROM unnest($2::uuid[], $3::int[], $4::int[]) AS taken (item_id, version, quantity)
    WHERE inventory.item_id = taken.item_id AND inventory.version = taken.version
    RETURNING 1
), decided AS (
    INSERT INTO reservations (order_id, decision, reason, lines, decided_at)
    SELECT *, $1 FROM unnest($5::uuid[], $6::text[], $7::text[], $8::jsonb[])
    ON CONFLICT (order_id) DO NOTHING RETURNING 1
), ledger_rows AS (
    INSERT INTO stock_transactions (id, order_id, item_id, quantity_deducted, kind, created_at)
    SELECT *, 'DEDUCT', $1 FROM unnest($9::uuid[], $10::uuid[], $11::uuid[], $12::int[])
)
SELECT 1 / (CASE WHEN (SELECT count(*) FROM updated) = cardinality($2)
    AND (SELECT count(*) FROM decided) = cardinality($5) THEN 1 ELSE 0 END)
"""
"""Divides by zero, and so changes nothing, unless every item's version is unchanged and every decision is new."""


class DecidedLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    item_id: UUID
    quantity: int
    name: str | None = None
    unit_price: Any = None
    refused: bool = False


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    reason: str | None
    lines: tuple[DecidedLine, ...]


_decode_lines = msgspec.json.Decoder(tuple[DecidedLine, ...]).decode


class Stock:
    def __init__(self, bus: Client) -> None:
        self.bus = bus
        self.batcher = Batcher(self._commit, limit=DECIDE_LIMIT)

    async def connect(self) -> None:
        connection = await postgres("stock")
        self._read = await connection.prepare(READ)
        self._read_decisions = await connection.prepare(READ_DECISIONS)
        self._write = await connection.prepare(WRITE)

    async def on_request(self, message: Msg) -> None:
        orders = _decode(message.data).orders
        self.batcher.add((message.reply, orders), size=len(orders))

    async def _commit(self, batch: list[tuple[str, list[ReserveStock]]]) -> None:
        """Decide a batch, then reply to each request after the commit that has all of its orders."""
        choices: dict[UUID, Choice] = {}
        orders = {order.order_id: order for _, requested in batch for order in requested}
        while missing := [order for order_id, order in orders.items() if order_id not in choices]:
            try:
                choices |= await self._decide(missing)
            except asyncpg.DivisionByZeroError:
                rows = await self._read_decisions.fetch(list(orders))
                choices |= {row[0]: _choice(row) for row in rows}
        for reply, requested in batch:
            decisions = [_decision(choices[order.order_id]) for order in requested]
            await self.bus.publish(reply, encode(OrdersDecided(decisions=decisions)))

    async def _decide(self, orders: list[ReserveStock]) -> dict[UUID, Choice]:
        """Decide in arrival order in memory, all lines of an order or none; then write all in one statement."""
        rows = await self._read.fetch(list({line.item_id for order in orders for line in order.lines}))
        items = {row[0]: row for row in rows}
        left = {row[0]: row[4] if row[3] else 0 for row in rows}
        now, taken, choices = datetime.now(UTC), Counter[UUID](), []
        for order in orders:
            choice = _choose(order, items, left)
            choices.append(choice)
            if choice.reason is None:
                for line in order.lines:
                    left[line.item_id] -= line.quantity
                    taken[line.item_id] += line.quantity
        await self._write.fetch(*_columns(now, choices, taken, items))
        return {choice.order_id: choice for choice in choices}


def _choose(order: ReserveStock, items: dict[UUID, Any], left: dict[UUID, int]) -> Choice:
    reason, refused = None, set[UUID]()
    if order.age_ms > LIFETIME_MS:
        reason = "EXPIRED"
    elif refused := {line.item_id for line in order.lines if line.item_id not in items}:
        reason = "UNKNOWN_ITEM"
    elif refused := {line.item_id for line in order.lines if left[line.item_id] < line.quantity}:
        reason = "OUT_OF_STOCK"
    lines = tuple(
        _line(line, items.get(line.item_id), refused=line.item_id in refused) for line in order.lines
    )
    return Choice(order_id=order.order_id, reason=reason, lines=lines)


def _line(line: Line, item: Any, *, refused: bool) -> DecidedLine:
    return DecidedLine(
        item_id=line.item_id,
        quantity=line.quantity,
        name=item and item[1],
        unit_price=item and item[2],
        refused=refused,
    )


def _columns(now: datetime, choices: list[Choice], taken: Counter[UUID], items: dict[UUID, Any]) -> list[Any]:
    ledger = [(choice.order_id, line) for choice in choices if choice.reason is None for line in choice.lines]
    return [
        now,
        list(taken),
        [items[item_id][5] for item_id in taken],
        list(taken.values()),
        [choice.order_id for choice in choices],
        ["REJECTED" if choice.reason else "RESERVED" for choice in choices],
        [choice.reason for choice in choices],
        [encode(choice.lines).decode() for choice in choices],
        [new_id() for _ in ledger],
        [order_id for order_id, _ in ledger],
        [line.item_id for _, line in ledger],
        [line.quantity for _, line in ledger],
    ]


def _choice(row: Any) -> Choice:
    return Choice(order_id=row[0], reason=row[2], lines=_decode_lines(row[3]))


def _decision(choice: Choice) -> StockDecided:
    return StockDecided(
        order_id=choice.order_id,
        decision="REJECTED" if choice.reason else "RESERVED",
        reason=choice.reason,
        items=tuple(
            ItemPrice(item_id=line.item_id, name=line.name, unit_price=line.unit_price)
            for line in choice.lines
            if line.name is not None
        ),
        refused_item_ids=tuple(line.item_id for line in choice.lines if line.refused),
    )


async def main() -> None:
    bus = await nats("stock")
    stock = Stock(bus)
    await stock.connect()
    await bus.subscribe(RESERVE, queue="stock", cb=stock.on_request)
    await bus.flush()
    report_ready()
    await run_all(stock.batcher.run())


if __name__ == "__main__":
    run_service(main)
