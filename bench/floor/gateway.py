"""The gateway by hand: G1, S1, G2, the relay, and P1."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
from lane import Lane, new_id, run_all
from litestar import Litestar, MediaType, Request, Response, post
from nats.aio.client import Client
from nats.aio.msg import Msg
from servers import live, nats, postgres, ready, serve
from shapes import (
    GATEWAY_STATUS,
    RESERVE,
    STATUS_TYPE,
    WORK,
    WORK_TYPE,
    Decided,
    Message,
    Order,
    PlaceOrder,
    PricedLine,
    Reserve,
    Status,
    Step,
    Work,
    encode,
)
from streams import WRITE_OUTBOX, acknowledge, outbox_columns, pull, relay
from tokens import Tokens

ANSWER_WITHIN_S = 1.3
LIFETIME = timedelta(seconds=60)

_KEY = re.compile(r"[!#-~][!-~]{0,254}")
_decode_order = msgspec.json.Decoder(PlaceOrder).decode
_decode_decision = msgspec.json.Decoder(Decided).decode
_decode_status = msgspec.json.Decoder(Status).decode

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
WITH verdicts AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::smallint[], $6::bytea[],
        $7::jsonb[], $8::jsonb[]) AS verdict (order_id, status, reason, at, answer, body, snapshot, step)
), moved AS (
    UPDATE orders AS o
    SET status = v.status, version = 2, rejection_reason = v.reason,
        lines = coalesce(v.snapshot -> 'lines', o.lines), total = (v.snapshot ->> 'total')::numeric,
        status_times = o.status_times || v.step, updated_at = v.at, next_ask_at = NULL,
        next_check_at = v.at + interval '5 seconds'
    FROM verdicts AS v WHERE o.id = v.order_id AND o.status = 'PENDING'
    RETURNING o.id
), answered AS (
    UPDATE idempotency_keys AS k
    SET response_snapshot = v.snapshot, response_status = v.answer, response_body = v.body
    FROM verdicts AS v WHERE k.order_id = v.order_id AND v.order_id IN (SELECT id FROM moved)
), said AS (
    SELECT * FROM unnest($9::uuid[], $10::smallint[], $11::text[], $12::text[], $13::uuid[], $14::bytea[])
        WITH ORDINALITY AS said (order_id, version, subject, type_name, message_id, body, place)
), written AS ({WRITE_OUTBOX})
SELECT count(*) FROM moved
"""

PROJECT = """
UPDATE orders AS o
SET status = h.status, version = h.version, status_times = h.times || o.status_times,
    updated_at = $5, kitchen_seen_at = coalesce(o.kitchen_seen_at, $5), next_ask_at = NULL
FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::jsonb[]) AS h (order_id, status, version, times)
WHERE o.id = h.order_id AND o.version < h.version
"""

FIND_ANSWER = "SELECT response_status, response_body FROM idempotency_keys WHERE key = $1"


class Placing(msgspec.Struct, kw_only=True):
    """One request; `new` and `answer` are what its two commits make of it."""

    student_id: str
    key: str
    lines: tuple[Any, ...]
    at: datetime
    order_id: Any
    new: asyncio.Future[bool]
    settled: asyncio.Future[None]
    answer: tuple[int, bytes] = (202, b"")
    status: str = "PENDING"
    reason: str | None = None
    decided_at: datetime | None = None
    body: bytes = b""
    messages: tuple[Message, ...] = ()


class Gateway:
    def __init__(self, bus: Client, tokens: Tokens) -> None:
        self.bus = bus
        self.tokens = tokens
        self.woken = asyncio.Event()
        self.receiving = Lane(self._receive)
        self.settling = Lane(self._settle)
        self.projecting = Lane(self._project)

    async def connect(self) -> None:
        """A connection for each lane; the last one reads what stands behind a repeated key."""
        lanes = [await postgres("gateway") for _ in range(4)]
        self._received = await lanes[0].prepare(RECEIVE)
        self._moved = await lanes[1].prepare(SETTLE)
        self._projected = await lanes[2].prepare(PROJECT)
        self._found = await lanes[3].prepare(FIND_ANSWER)
        self._finding = asyncio.Lock()

    async def place(self, placing: Placing) -> tuple[int, bytes]:
        self.receiving.add(placing)
        if not await placing.new:
            return await self._repeated(placing.key)
        question = Reserve(order_id=placing.order_id, lines=placing.lines, expires_at=placing.at + LIFETIME)
        try:
            answer = await self.bus.request(RESERVE, encode(question), timeout=ANSWER_WITHIN_S)
        except TimeoutError:
            return placing.answer
        _judge(placing, _decode_decision(answer.data))
        self.settling.add(placing)
        await placing.settled
        return placing.answer

    async def _repeated(self, key: str) -> tuple[int, bytes]:
        async with self._finding:
            row = await self._found.fetchrow(key)
        return (row[0] or 202, row[1] or b"") if row else (503, b"")

    async def _receive(self, batch: list[Placing]) -> None:
        batch = sorted(batch, key=lambda placing: placing.key)
        for placing in batch:
            placing.body = encode(_order(placing, _unpriced(placing.lines), version=1))
            placing.answer = (202, placing.body)
        rows = await self._received.fetch(
            [new_id() for _ in batch],
            [placing.key for placing in batch],
            [placing.order_id for placing in batch],
            [placing.student_id for placing in batch],
            [_request_hash(placing.lines) for placing in batch],
            [placing.at for placing in batch],
            [placing.body.decode() for placing in batch],
        )
        new = {row[0] for row in rows}
        for placing in batch:
            placing.new.set_result(placing.order_id in new)

    async def _settle(self, batch: list[Placing]) -> None:
        messages = [message for placing in batch for message in placing.messages]
        await self._moved.fetch(
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
        for placing in batch:
            placing.settled.set_result(None)

    async def _project(self, batch: list[Msg]) -> None:
        highest: dict[Any, Status] = {}
        for message in batch:
            event = _decode_status(message.data)
            known = highest.get(event.order_id)
            if known is None or known.version < event.version:
                highest[event.order_id] = event
        await self._projected.fetch(
            list(highest),
            [event.status for event in highest.values()],
            [event.version for event in highest.values()],
            [_times(event) for event in highest.values()],
            datetime.now(UTC),
        )
        await acknowledge(self.bus, batch)


def _judge(placing: Placing, decided: Decided) -> None:
    """The final answer, and what the others must hear of it: the status event before the work."""
    placing.decided_at = datetime.now(UTC)
    pending = Step(status="PENDING", version=1, at=placing.at)
    if decided.decision == "RESERVED":
        placing.status = "STOCK_VERIFIED"
        prices = {item.item_id: item for item in decided.items}
        lines = tuple(
            PricedLine(
                item_id=line.item_id,
                name=prices[line.item_id].name,
                quantity=line.quantity,
                unit_price=prices[line.item_id].unit_price,
            )
            for line in placing.lines
        )
        placing.body = encode(_order(placing, lines, version=2))
        placing.answer = (201, placing.body)
        verified = Step(status=placing.status, version=2, at=placing.decided_at)
        work = Work(
            order_id=placing.order_id,
            student_id=placing.student_id,
            lines=lines,
            version=2,
            earlier=(pending, verified),
        )
        placing.messages = (_news(placing, pending), _message(placing, WORK, WORK_TYPE, encode(work)))
    else:
        placing.status, placing.reason = "REJECTED", decided.reason
        placing.body = encode({"type": "/problems/out-of-stock", "item_ids": decided.refused_item_ids})
        placing.answer = (409, placing.body)
        placing.messages = (_news(placing, pending),)


def _news(placing: Placing, pending: Step) -> Message:
    event = Status(
        order_id=placing.order_id,
        student_id=placing.student_id,
        status=placing.status,
        version=2,
        at=placing.decided_at or placing.at,
        earlier=(pending,),
        reason=placing.reason,
    )
    return _message(placing, GATEWAY_STATUS, STATUS_TYPE, encode(event))


def _message(placing: Placing, subject: str, type_name: str, body: bytes) -> Message:
    return Message(
        order_id=placing.order_id,
        version=2,
        subject=subject,
        type_name=type_name,
        message_id=new_id(),
        body=body,
    )


def _order(placing: Placing, lines: tuple[PricedLine, ...], *, version: int) -> Order:
    prices = [line.unit_price * line.quantity for line in lines if line.unit_price is not None]
    return Order(
        id=placing.order_id,
        status=placing.status,
        version=version,
        lines=lines,
        total=sum(prices, Decimal("0.00")) if prices else None,
        created_at=placing.at,
    )


def _unpriced(lines: tuple[Any, ...]) -> tuple[PricedLine, ...]:
    return tuple(PricedLine(item_id=line.item_id, quantity=line.quantity) for line in lines)


def _request_hash(lines: tuple[Any, ...]) -> bytes:
    asked = sorted((line.item_id.bytes, line.quantity) for line in lines)
    return sha256(b"".join(item + bytes((quantity,)) for item, quantity in asked)).digest()


def _times(event: Status) -> str:
    times = {earlier.status: earlier.at for earlier in event.earlier}
    return encode({**times, event.status: event.at}).decode()


def _refused(status: int, detail: str) -> Response[bytes]:
    return Response(encode({"detail": detail}), status_code=status, media_type="application/problem+json")


@post("/v1/orders")
async def place_order(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Token, key and body are checked as the product checks them."""
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
        return _refused(400, "an item stands in two lines")
    loop = asyncio.get_running_loop()
    placing = Placing(
        student_id=student_id,
        key=f"{student_id}:{key}",
        lines=lines,
        at=datetime.now(UTC),
        order_id=new_id(),
        new=loop.create_future(),
        settled=loop.create_future(),
    )
    status, body = await gateway.place(placing)
    return Response(body, status_code=status, media_type=MediaType.JSON)


async def main() -> None:
    bus = await nats("gateway")
    gateway = Gateway(bus, await Tokens.of_identity(bus))
    await gateway.connect()
    app = Litestar([place_order], openapi_config=None, logging_config=None, pdb_on_exception=False)
    app.state.gateway = gateway
    await pull(bus, "NOTIFICATION", "gateway-projection", gateway.projecting.add)
    ready()
    await run_all(
        gateway.receiving.run(),
        gateway.settling.run(),
        gateway.projecting.run(),
        relay(await postgres("gateway"), bus, gateway.woken, sender="gateway"),
        serve(app),
    )


if __name__ == "__main__":
    live(main)
