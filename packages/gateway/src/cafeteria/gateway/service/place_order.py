"""Placing an order: nothing → RECEIVED (G1), and from there on with `decide` to the final answer.

Everyone who sends the same key gets the same answer, to the byte, whichever process they meet and however
often: the key's row is written before the order's, in one commit. Refusals that leave no trace are given
before that commit; after it, the order goes on whether or not the student still waits.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from types import TracebackType
from typing import Self

import msgspec

from cafeteria.chassis import metrics
from cafeteria.chassis.database import Database, DatabaseUnavailable
from cafeteria.chassis.errors import Overloaded
from cafeteria.chassis.group_commit import GroupCommit
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.domain import (
    Answer,
    KeyedOrder,
    PendingOrder,
    Placing,
    as_pending,
    as_received,
    order_body,
)
from cafeteria.gateway.errors import (
    SAY_AGAIN_WITH_THE_SAME_KEY,
    IdempotencyKeyReused,
    OutcomeUnknown,
    OutOfStock,
)
from cafeteria.gateway.repository import intake
from cafeteria.gateway.service.decide import Decider, answer_without_key
from cafeteria.gateway.views import AvailabilityView, Backlog

ANSWER_WITHIN_S = 1.3  # then 202: the student knows within 1.5 s that the order has been received
SLOW_COMMIT_S = 1.0  # a G1 that takes longer than this stands for a database that cannot keep up
RECEIVED = 202

REFUSED_FROM_MEMORY = metrics.counter(
    "cafeteria_gateway_refused_from_memory_total", "Orders refused because the sold-out view says so"
)


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """What the student is sent. `is_replay`: a stored answer, to a request that did not create the order."""

    status: int
    body: bytes
    is_replay: bool


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """G1's outcome for one request: its order is new, or `known` stands behind its key already."""

    is_new: bool
    known: KeyedOrder | None = None


class Intake:
    """G1 and the reading of keys, both grouped. Enter it to start; leaving it settles what has been taken in."""

    def __init__(self, *, database: Database, backlog: Backlog, queue_limit: int) -> None:
        self._database = database
        self._backlog = backlog
        self._receiving = GroupCommit("gateway-receive", self._receive, queue_limit=queue_limit)
        self._finding = GroupCommit("gateway-find-key", self._find, queue_limit=queue_limit)
        self._asked: Counter[str] = Counter()
        self._being_written: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        await self._receiving.__aenter__()
        await self._finding.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._receiving.__aexit__(kind, error, trace)
        await self._finding.__aexit__(kind, error, trace)

    @property
    def waiting(self) -> int:
        """Orders whose G1 has not been committed."""
        return self._receiving.pending

    async def receive(self, placing: Placing) -> Receipt:
        """Raises Overloaded before anything was written, DatabaseUnavailable when nobody knows."""
        if self._receiving.running_for_s > SLOW_COMMIT_S:
            raise Overloaded(
                f"Orders are written too slowly just now: this request did nothing. {SAY_AGAIN_WITH_THE_SAME_KEY}"
            )
        self._asked[placing.key] += 1
        try:
            return await self._receiving.submit(placing)
        finally:
            self._asked[placing.key] -= 1
            if not self._asked[placing.key]:
                del self._asked[placing.key]

    def is_receiving(self, key: str) -> bool:
        """Somebody waits for this key's G1, or it is being written although its student has given up waiting."""
        return key in self._asked or key in self._being_written

    async def find(self, key: str) -> KeyedOrder | None:
        return await self._finding.submit(key)

    async def _receive(self, batch: Sequence[Placing]) -> list[Receipt]:
        self._being_written = frozenset(placing.key for placing in batch)
        try:
            async with self._database.statement() as connection:
                unmade = await intake.receive(connection, batch)
            self._backlog.received(len(batch) - len(unmade))
            if not unmade:
                return [_NEW] * len(batch)
            known = await self._read([placing.key for placing in batch if placing.order.id in unmade])
        finally:
            self._being_written = frozenset()
        return [
            receipt_of(placing, known.get(placing.key)) if placing.order.id in unmade else _NEW
            for placing in batch
        ]

    async def _find(self, keys: Sequence[str]) -> list[KeyedOrder | None]:
        known = await self._read(keys)
        return [known.get(key) for key in keys]

    async def _read(self, keys: Sequence[str]) -> dict[str, KeyedOrder]:
        async with self._database.statement() as connection:
            return await intake.find_by_key(connection, keys)


_NEW = Receipt(is_new=True)


def receipt_of(placing: Placing, known: KeyedOrder | None) -> Receipt:
    """Our own order under the key: an earlier try of this very commit went through, its answer was lost."""
    if known is not None and known.order.id == placing.order.id:
        return _NEW
    return Receipt(is_new=False, known=known)


class PlaceOrder:
    def __init__(
        self,
        *,
        intake: Intake,
        decider: Decider,
        availability: AvailabilityView,
    ) -> None:
        self._intake = intake
        self._decider = decider
        self._availability = availability
        self._refused = REFUSED_FROM_MEMORY.metric()

    async def __call__(self, placing: Placing) -> Placed:
        """Raises a refusal that leaves no trace, IdempotencyKeyReused, or OutcomeUnknown."""
        deadline = asyncio.get_running_loop().time() + ANSWER_WITHIN_S
        try:
            async with asyncio.timeout_at(deadline):
                receipt = await self._find_if_sold_out(placing) or await self._receive(placing)
        except (TimeoutError, DatabaseUnavailable) as error:
            raise OutcomeUnknown from error
        if receipt.is_new:
            return await self._outcome(placing.order, deadline, is_replay=False)
        if receipt.known is None:  # the key was there, and has been forgotten since
            raise OutcomeUnknown
        return await self._repeat(placing, receipt.known, deadline)

    async def _find_if_sold_out(self, placing: Placing) -> Receipt | None:
        """Raises OutOfStock if memory says so and the key is unused: a repeat must get its order's answer.

        While the key's own order may be on its way into the table, only G1 can tell.
        """
        short = self._availability.short_items(placing.order.lines, at_s=monotonic())
        if not short or self._intake.is_receiving(placing.key):
            return None
        known = await self._intake.find(placing.key)
        if known is None:
            self._refused.inc()
            raise OutOfStock(item_ids=short)
        return Receipt(is_new=False, known=known)

    async def _receive(self, placing: Placing) -> Receipt:
        """After a COMMIT of unknown outcome, look what is stored. That nothing is there proves nothing yet."""
        try:
            return await self._intake.receive(placing)
        except DatabaseUnavailable:
            known = await self._intake.find(placing.key)
            if known is None:
                raise
            return receipt_of(placing, known)

    async def _repeat(self, placing: Placing, known: KeyedOrder, deadline: float) -> Placed:
        if known.request_hash != placing.request_hash:
            raise IdempotencyKeyReused(order_id=known.order.id)
        if known.answer is not None:
            return _final(known.answer, is_replay=True)
        if known.order.status is not OrderStatus.PENDING and (answer := answer_without_key(known.order)):
            return _final(answer, is_replay=True)
        return await self._outcome(as_pending(known.order), deadline, is_replay=True)

    async def _outcome(self, order: PendingOrder, deadline: float, *, is_replay: bool) -> Placed:
        """Wait for the final answer, not past the deadline; without one the order has been received: 202."""
        answer = await self._decider.answer(order, deadline=deadline)
        if answer is None:
            return Placed(status=RECEIVED, body=order_body(as_received(order)), is_replay=False)
        return _final(answer, is_replay=is_replay)


def _final(answer: Answer, *, is_replay: bool) -> Placed:
    return Placed(status=answer.status, body=answer.body, is_replay=is_replay)
