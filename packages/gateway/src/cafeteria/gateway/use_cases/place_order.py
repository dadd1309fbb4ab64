"""Receive: stores a new order under its idempotency key (nothing → RECEIVED), then awaits its final answer.

Every request with the same key gets the same answer, to the byte, from any process and any number of times: one
commit writes the key's row and then the order's. Refusals that store nothing come before that commit. After it, the
orders of the commit continue together, whether or not their students still wait.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from types import TracebackType
from typing import Self
from uuid import UUID

import msgspec

from cafeteria.chassis.database.database import Database, DatabaseUnavailable
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.domain import (
    Answer,
    KeyedOrder,
    PendingOrder,
    Placing,
    as_pending,
    as_received,
    order_body,
    pending_order,
)
from cafeteria.gateway.errors import (
    SAY_AGAIN_WITH_THE_SAME_KEY,
    IdempotencyKeyReused,
    OutcomeUnknown,
    OutOfStock,
)
from cafeteria.gateway.repository import intake
from cafeteria.gateway.service.decide import DECIDE_WITHIN_S, Decider, Question, answer_of, answer_without_key
from cafeteria.gateway.views import AvailabilityView, Backlog

SLOW_COMMIT_S = 1.0  # if a commit of new orders takes longer, the database cannot keep up
RECEIVED = 202

REFUSED_FROM_MEMORY = metrics.counter(
    "cafeteria_gateway_refused_from_memory_total", "Orders refused from the availability cache as sold out"
)


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The response to the student. `is_replay`: a stored answer, to a request that did not create the order."""

    status: int
    body: bytes
    is_replay: bool


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of storing one request: the new `order`, or the `known` one that its key already belongs to.

    `question` is the request to stock of the order's batch; it is None after a COMMIT of unknown outcome.
    Without `order` and `known`, the key was in use and has been purged since.
    """

    order: PendingOrder | None = None
    question: Question | None = None
    known: KeyedOrder | None = None


class Intake:
    """Stores new orders and reads keys, in batches. Use it as a context manager; exiting stores all queued orders."""

    def __init__(self, *, database: Database, decider: Decider, backlog: Backlog, queue_limit: int) -> None:
        self._database = database
        self._decider = decider
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
        """Orders that are not stored yet."""
        return self._receiving.pending

    async def receive(self, placing: Placing) -> Receipt:
        """Raises Overloaded if nothing was written, DatabaseUnavailable if it is unknown whether it was."""
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
        """Whether a request waits for this key's commit, or a commit writes it although its request has timed out."""
        return key in self._asked or key in self._being_written

    async def find(self, key: str) -> KeyedOrder | None:
        return await self._finding.submit(key)

    async def _receive(self, batch: Sequence[Placing]) -> list[Receipt]:
        self._being_written = frozenset(placing.key for placing in batch)
        try:
            async with self._database.statement() as connection:
                received = await intake.receive(connection, batch)
            receipts = self._ask_about(batch, received)
            unmade = [placing for placing in batch if placing.order.id in received.unmade]
            if unmade:
                known = await self._read([placing.key for placing in unmade])
                receipts |= {each.order.id: receipt_of(each, known.get(each.key)) for each in unmade}
        finally:
            self._being_written = frozenset()
        return [receipts[placing.order.id] for placing in batch]

    def _ask_about(self, batch: Sequence[Placing], received: intake.Received) -> dict[UUID, Receipt]:
        """Ask stock about the new orders at once, in one request, whether or not their students still wait."""
        made = [
            pending_order(placing.order, at=received.at)
            for placing in batch
            if placing.order.id not in received.unmade
        ]
        self._backlog.received(len(made))
        questions = self._decider.ask(made)
        return {
            order.id: Receipt(order=order, question=question)
            for order, question in zip(made, questions, strict=True)
        }

    async def _find(self, keys: Sequence[str]) -> list[KeyedOrder | None]:
        known = await self._read(keys)
        return [known.get(key) for key in keys]

    async def _read(self, keys: Sequence[str]) -> dict[str, KeyedOrder]:
        async with self._database.statement() as connection:
            return await intake.find_by_key(connection, keys)


def receipt_of(placing: Placing, known: KeyedOrder | None) -> Receipt:
    """If the key has this very order, an earlier attempt of its commit succeeded and only the reply was lost."""
    if known is not None and known.order.id == placing.order.id:
        return Receipt(order=as_pending(known.order))
    return Receipt(known=known)


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
        """Raises OutOfStock or Overloaded, which store nothing, IdempotencyKeyReused, or OutcomeUnknown."""
        deadline = asyncio.get_running_loop().time() + DECIDE_WITHIN_S
        try:
            async with asyncio.timeout_at(deadline):
                receipt = await self._find_if_sold_out(placing) or await self._receive(placing)
        except (TimeoutError, DatabaseUnavailable) as error:
            raise OutcomeUnknown from error
        if receipt.order is not None:
            return await self._outcome(receipt.order, deadline, question=receipt.question)
        if receipt.known is None:  # the key was in use and has been purged since
            raise OutcomeUnknown
        return await self._repeat(placing, receipt.known, deadline)

    async def _find_if_sold_out(self, placing: Placing) -> Receipt | None:
        """Raises OutOfStock if the cache has too few portions and the key is unused: a repeat gets its order's answer.

        While a commit may be writing the key's order, only that commit shows whether the key is in use.
        """
        short = self._availability.short_items(placing.order.lines, at_s=monotonic())
        if not short or self._intake.is_receiving(placing.key):
            return None
        known = await self._intake.find(placing.key)
        if known is None:
            self._refused.inc()
            raise OutOfStock(item_ids=short)
        return Receipt(known=known)

    async def _receive(self, placing: Placing) -> Receipt:
        """After a COMMIT of unknown outcome, read the key. If it is not there, the outcome stays unknown."""
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

    async def _outcome(
        self,
        order: PendingOrder,
        deadline: float,
        *,
        question: Question | None = None,
        is_replay: bool = False,
    ) -> Placed:
        """Wait for the final answer until the deadline; without one, answer 202: the order is received."""
        if question is None:
            answer = await self._decider.answer(order, deadline=deadline)
        else:
            answer = await answer_of(question, deadline=deadline)
        if answer is None:
            return Placed(status=RECEIVED, body=order_body(as_received(order)), is_replay=False)
        return _final(answer, is_replay=is_replay)


def _final(answer: Answer, *, is_replay: bool) -> Placed:
    return Placed(status=answer.status, body=answer.body, is_replay=is_replay)
