"""The floor's gateway, written by hand: receive, reserve, settle, relay and project."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, post
from nats.aio.client import Client
from nats.aio.msg import Msg

from cafeteria.bench.floor.batcher import Batcher, new_id, run_all
from cafeteria.bench.floor.placing import Placing, apply_decision, order_of, request_hash, unpriced
from cafeteria.bench.floor.servers import nats, postgres, report_ready, run_service, serve
from cafeteria.bench.floor.shapes import (
    MAX_ORDERS,
    RESERVE,
    OrdersDecided,
    OrderStatusChanged,
    OrderStatusesChanged,
    PlaceOrder,
    ReserveOrders,
    ReserveStock,
    encode,
)
from cafeteria.bench.floor.streams import WRITE_OUTBOX, acknowledge, outbox_columns, pull, relay
from cafeteria.bench.floor.tokens import Tokens

ANSWER_WITHIN_S = 1.3
SETTLE_LIMIT, PROJECT_LIMIT = 128, 512

_KEY = re.compile(r"[!#-~][!-~]{0,254}")
_decode_order = msgspec.json.Decoder(PlaceOrder).decode
_decode_decisions = msgspec.json.Decoder(OrdersDecided).decode
_decode_statuses = msgspec.json.Decoder(OrderStatusesChanged).decode

RECEIVE = """
WITH placed AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bytea[], $6::timestamptz[], $7::jsonb[])
        AS placed (key_id, key, order_id, student_id, request_hash, created_at, snapshot)
), new_keys AS (
    INSERT INTO idempotency_keys (id, order_id, key, response_snapshot, created_at, request_hash)
    SELECT key_id, order_id, key, snapshot, created_at, request_hash FROM placed
    ON CONFLICT (key) DO NOTHING RETURNING order_id
)
INSERT INTO orders
    (id, student_id, status, version, lines, status_times, created_at, updated_at, expires_at, next_ask_at)
SELECT order_id, student_id, 'PENDING', 1, snapshot -> 'lines',
    jsonb_build_object('PENDING', snapshot -> 'created_at'), created_at, created_at,
    created_at + interval '60 seconds', created_at + interval '2 seconds'
FROM placed JOIN new_keys USING (order_id)
RETURNING id
"""

SETTLE = f"""
WITH decisions AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::smallint[], $6::bytea[],
        $7::jsonb[], $8::jsonb[]) AS decision (order_id, status, reason, at, answer, body, snapshot, step)
), updated AS (
    UPDATE orders AS o
    SET status = d.status, version = 2, rejection_reason = d.reason,
        lines = coalesce(d.snapshot -> 'lines', o.lines), total = (d.snapshot ->> 'total')::numeric,
        status_times = o.status_times || d.step, updated_at = d.at, next_ask_at = NULL,
        next_check_at = d.at + interval '5 seconds'
    FROM decisions AS d WHERE o.id = d.order_id AND o.status = 'PENDING'
    RETURNING o.id
), answered AS (
    UPDATE idempotency_keys AS k
    SET response_snapshot = d.snapshot, response_status = d.answer, response_body = d.body
    FROM decisions AS d WHERE k.order_id = d.order_id AND d.order_id IN (SELECT id FROM updated)
), outbox_rows AS (
    SELECT * FROM unnest($9::uuid[], $10::smallint[], $11::text[], $12::uuid[], $13::bytea[])
        WITH ORDINALITY AS given (order_id, version, subject, message_id, body, place)
), written AS ({WRITE_OUTBOX})
SELECT count(*) FROM updated
"""  # noqa: S608 - assembled from constants

PROJECT = """
UPDATE orders AS o
SET status = e.status, version = e.version, status_times = e.times || o.status_times,
    updated_at = $5, kitchen_seen_at = coalesce(o.kitchen_seen_at, $5), next_ask_at = NULL
FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::jsonb[]) AS e (order_id, status, version, times)
WHERE o.id = e.order_id AND o.version < e.version
"""

FIND_ANSWER = "SELECT response_status, response_body FROM idempotency_keys WHERE key = $1"


class Gateway:
    def __init__(self, bus: Client, tokens: Tokens) -> None:
        self.bus = bus
        self.tokens = tokens
        self.woken = asyncio.Event()
        self.receiving = Batcher(self._receive, limit=MAX_ORDERS)
        self.settling = Batcher(self._settle, limit=SETTLE_LIMIT)
        self.projecting = Batcher(self._project, limit=PROJECT_LIMIT)
        self._reserving: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Open a connection for each batcher, and one that reads the stored answers of repeated keys."""
        connections = [await postgres("gateway") for _ in range(4)]
        self._receive_statement = await connections[0].prepare(RECEIVE)
        self._settle_statement = await connections[1].prepare(SETTLE)
        self._project_statement = await connections[2].prepare(PROJECT)
        self._find_statement = await connections[3].prepare(FIND_ANSWER)
        self._find_lock = asyncio.Lock()

    async def place(self, placing: Placing) -> tuple[int, bytes]:
        self.receiving.add(placing)
        if await placing.answered:
            return placing.answer
        async with self._find_lock:
            row = await self._find_statement.fetchrow(placing.key)
        return (row[0] or 202, row[1] or b"") if row else (503, b"")

    async def _receive(self, batch: list[Placing]) -> None:
        """Store a batch of orders, then request their reservation together while the next commit runs."""
        batch = sorted(batch, key=lambda placing: placing.key)
        for placing in batch:
            placing.body = encode(order_of(placing, unpriced(placing.lines), version=1))
            placing.answer = (202, placing.body)
        rows = await self._receive_statement.fetch(
            [new_id() for _ in batch],
            [placing.key for placing in batch],
            [placing.order_id for placing in batch],
            [placing.student_id for placing in batch],
            [request_hash(placing.lines) for placing in batch],
            [placing.at for placing in batch],
            [placing.body.decode() for placing in batch],
        )
        ids = {row[0] for row in rows}
        new = [placing for placing in batch if placing.order_id in ids]
        if new:
            reserving = asyncio.create_task(self._reserve(new))
            self._reserving.add(reserving)
            reserving.add_done_callback(self._reserving.discard)
        if len(new) < len(batch):
            _answer([placing for placing in batch if placing.order_id not in ids], new=False)

    async def _reserve(self, batch: list[Placing]) -> None:
        orders = [ReserveStock(order_id=each.order_id, lines=each.lines, age_ms=0) for each in batch]
        try:
            answer = await self.bus.request(
                RESERVE, encode(ReserveOrders(orders=orders)), timeout=ANSWER_WITHIN_S
            )
        except TimeoutError:
            _answer(batch, new=True)
            return
        decisions = _decode_decisions(answer.data).decisions
        for placing, decision in zip(batch, decisions, strict=True):
            apply_decision(placing, decision)
        self.settling.add(batch, size=len(batch))

    async def _settle(self, groups: list[list[Placing]]) -> None:
        batch = [placing for group in groups for placing in group]
        messages = [message for placing in batch for message in placing.messages]
        await self._settle_statement.fetch(
            [placing.order_id for placing in batch],
            [placing.status for placing in batch],
            [placing.reason for placing in batch],
            [placing.decided_at for placing in batch],
            [placing.answer[0] for placing in batch],
            [placing.body for placing in batch],
            [placing.body.decode() for placing in batch],
            [encode({placing.status: placing.decided_at}).decode() for placing in batch],
            *outbox_columns(messages),
        )
        self.woken.set()
        _answer(batch, new=True)

    def on_statuses(self, message: Msg) -> None:
        events = _decode_statuses(message.data).events
        self.projecting.add((message, events), size=len(events))

    async def _project(self, batch: list[tuple[Msg, list[OrderStatusChanged]]]) -> None:
        highest: dict[Any, OrderStatusChanged] = {}
        for _, events in batch:
            for event in events:
                earlier = highest.get(event.order_id)
                if earlier is None or earlier.version < event.version:
                    highest[event.order_id] = event
        await self._project_statement.fetch(
            list(highest),
            [event.status for event in highest.values()],
            [event.version for event in highest.values()],
            [_times(event) for event in highest.values()],
            datetime.now(UTC),
        )
        await acknowledge(self.bus, [message for message, _ in batch])


def _answer(batch: list[Placing], *, new: bool) -> None:
    for placing in batch:
        placing.answered.set_result(new)


def _times(event: OrderStatusChanged) -> str:
    times = {earlier.status: earlier.at for earlier in event.earlier}
    return encode({**times, event.status: event.at}).decode()


def _refused(status: int, detail: str) -> Response[bytes]:
    return Response(encode({"detail": detail}), status_code=status, media_type="application/problem+json")


@post("/v1/orders")
async def place_order(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Check token, key and body as the product does, and place the order."""
    gateway: Gateway = request.app.state.gateway
    headers = dict(request.scope["headers"])
    student_id = gateway.tokens.student_of(headers.get(b"authorization", b""))
    if student_id is None:
        return _refused(401, "no valid token")
    key = headers.get(b"idempotency-key", b"").decode("latin-1")
    if not _KEY.fullmatch(key):
        return _refused(400, "no usable Idempotency-Key")
    try:
        lines = _decode_order(await request.body()).lines
    except msgspec.MsgspecError as error:
        return _refused(400, str(error))
    if len({line.item_id for line in lines}) < len(lines):
        return _refused(400, "two lines have the same item")
    placing = Placing(
        student_id=student_id,
        key=f"{student_id}:{key}",
        lines=lines,
        at=datetime.now(UTC),
        order_id=new_id(),
        answered=asyncio.get_running_loop().create_future(),
    )
    status, body = await gateway.place(placing)
    return Response(body, status_code=status, media_type=MediaType.JSON)


async def main() -> None:
    bus = await nats("gateway")
    gateway = Gateway(bus, await Tokens.of_identity(bus))
    await gateway.connect()
    app = Litestar([place_order], openapi_config=None, logging_config=None, pdb_on_exception=False)
    app.state.gateway = gateway
    await pull(bus, "NOTIFICATION", "gateway-projection", gateway.on_statuses)
    report_ready()
    await run_all(
        gateway.receiving.run(),
        gateway.settling.run(),
        gateway.projecting.run(),
        relay(await postgres("gateway"), bus, gateway.woken, sender="gateway"),
        serve(app),
    )


if __name__ == "__main__":
    run_service(main)
