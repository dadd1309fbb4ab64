"""Place an order: refuse what is sold out or more than the kitchen takes, receive the order, and wait for its answer.

Every request with the same key gets the same answer, to the byte, from any process and any number of times. Refusals
that store nothing come before the commit that receives the order.
"""

import asyncio
from time import monotonic
from typing import Protocol

import msgspec

from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.runtime.errors import LimitReached, Overloaded, ServiceError
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.answers import (
    CREATED,
    RECEIVED,
    Answer,
    KeyedOrder,
    Receipt,
    RunningRequest,
    answer_without_key,
    order_body,
    receipt_of,
)
from cafeteria.gateway.availability_cache import AvailabilityCache
from cafeteria.gateway.domain import PendingOrder, Placing, as_pending, as_received
from cafeteria.gateway.errors import IdempotencyKeyReused, OutcomeUnknown, OutOfStock
from cafeteria.gateway.kitchen_pace import KitchenPace
from cafeteria.gateway.use_cases.settle_orders import DECIDE_WITHIN_S, SettleOrders, wait_for_answer

REFUSED_FROM_MEMORY = metrics.counter(
    "cafeteria_gateway_refused_from_memory_total", "Orders refused from the availability cache as sold out"
)
ORDERS_REFUSED = metrics.counter(
    "cafeteria_gateway_orders_refused_total",
    "Orders refused because the kitchen takes none now: its intake is paused, or it is full",
    "code",
)


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The response to the student. `is_replay`: a stored answer, to a request that did not create the order."""

    status: int
    body: bytes
    is_replay: bool


class OrderReceiver(Protocol):
    """Stores new orders and reads the orders of keys."""

    async def receive(self, placing: Placing) -> Receipt: ...

    async def find(self, key: str) -> KeyedOrder | None: ...

    def is_receiving(self, key: str) -> bool: ...


class PlaceOrder:
    def __init__(
        self,
        receiver: OrderReceiver,
        settle_orders: SettleOrders,
        availability: AvailabilityCache,
        kitchen_pace: KitchenPace,
    ) -> None:
        self._receiver = receiver
        self._settle_orders = settle_orders
        self._availability = availability
        self._kitchen_pace = kitchen_pace
        self._refused = REFUSED_FROM_MEMORY.metric()
        self._orders_refused = ORDERS_REFUSED.metric()

    async def __call__(self, placing: Placing) -> Placed:
        """Raises OutOfStock, Overloaded, LimitReached, IntakePaused or KitchenFull, which store nothing.

        Raises IdempotencyKeyReused or OutcomeUnknown otherwise.
        """
        deadline = asyncio.get_running_loop().time() + DECIDE_WITHIN_S
        try:
            async with asyncio.timeout_at(deadline):
                receipt = await self._find_if_refused(placing) or await self._receive(placing)
        except (TimeoutError, DatabaseUnavailable) as error:
            raise OutcomeUnknown from error
        if receipt.order is not None:
            placed = await self._outcome(receipt.order, deadline, running=receipt.running)
            if placed.status not in (CREATED, RECEIVED):
                self._kitchen_pace.turned_away(placing.order.id)
            return placed
        self._kitchen_pace.turned_away(placing.order.id)
        if receipt.known is None:  # the key was in use and has been purged since
            raise OutcomeUnknown
        return await self._repeat(placing, receipt.known, deadline)

    async def _find_if_refused(self, placing: Placing) -> Receipt | None:
        """Raises the refusal of what cannot be taken now, if the key is unused: a repeat gets its order's answer.

        While a commit may be writing the key's order, only that commit shows whether the key is in use. Without a refusal
        nothing is read.
        """
        at_s = monotonic()
        refusal = self._refusal(placing, at_s=at_s)
        if refusal is None:
            self._kitchen_pace.let_through(placing.order.id, at_s=at_s)
            return None
        if self._receiver.is_receiving(placing.key):
            return None
        known = await self._receiver.find(placing.key)
        if known is None:
            self._count(refusal)
            raise refusal
        return Receipt(known=known)

    def _refusal(self, placing: Placing, *, at_s: float) -> ServiceError | None:
        """Sold out comes first: waiting for the kitchen would not help."""
        short = self._availability.short_items(placing.order.lines, at_s=at_s)
        return OutOfStock(item_ids=short) if short else self._kitchen_pace.refusal(at_s=at_s)

    def _count(self, refusal: ServiceError) -> None:
        if isinstance(refusal, OutOfStock):
            self._refused.inc()
        else:
            self._orders_refused.labels(refusal.code).inc()

    async def _receive(self, placing: Placing) -> Receipt:
        """After a COMMIT of unknown outcome, read the key. If it is not there, the outcome stays unknown."""
        try:
            return await self._receiver.receive(placing)
        except (LimitReached, Overloaded):
            self._kitchen_pace.turned_away(placing.order.id)
            raise
        except DatabaseUnavailable:
            known = await self._receiver.find(placing.key)
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
        running: RunningRequest | None = None,
        is_replay: bool = False,
    ) -> Placed:
        """Wait for the final answer until the deadline; without one, answer 202: the order is received."""
        if running is None:
            answer = await self._settle_orders.answer(order, deadline=deadline)
        else:
            answer = await wait_for_answer(running, deadline=deadline)
        if answer is None:
            return Placed(status=RECEIVED, body=order_body(as_received(order)), is_replay=False)
        return _final(answer, is_replay=is_replay)


def _final(answer: Answer, *, is_replay: bool) -> Placed:
    return Placed(status=answer.status, body=answer.body, is_replay=is_replay)
