"""Receive: store new orders under their idempotency keys in batches (nothing → RECEIVED), and read the orders of keys.

Where students have limits, a read before the commit leaves out the orders that would exceed one. One commit writes the
keys' rows and then the orders'. After it, the orders of the commit continue together, whether or not their students
still wait.
"""

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.gateway.answers import KeyedOrder, Receipt, receipt_of
from cafeteria.gateway.domain import Placing, pending_order
from cafeteria.gateway.errors import SEND_AGAIN_WITH_THE_SAME_KEY
from cafeteria.gateway.limits import Limits, refusals
from cafeteria.gateway.load import QueueDepth
from cafeteria.gateway.repository import receive_orders
from cafeteria.gateway.repository.receive_orders import Received
from cafeteria.gateway.use_cases.settle_orders import SettleOrders

SLOW_COMMIT_S = 1.0  # if a commit of new orders takes longer, the database cannot keep up

LIMIT_REACHED = metrics.counter(
    "cafeteria_gateway_limit_reached_total", "Orders refused because their student is at a limit"
)


class ReceiveOrders:
    """Stores new orders and reads keys, each in batches of their own.

    Use it as a context manager; exiting stores all queued orders.
    """

    def __init__(
        self,
        database: Database,
        settle_orders: SettleOrders,
        queue_depth: QueueDepth,
        limits: Limits,
        *,
        queue_limit: int,
    ) -> None:
        self._database = database
        self._settle_orders = settle_orders
        self._queue_depth = queue_depth
        self._limits = limits
        self._limit_reached = LIMIT_REACHED.metric()
        self.batcher = GroupCommit("gateway-receive", self._commit, queue_limit=queue_limit)
        self._key_batcher = GroupCommit("gateway-find-key", self._find, queue_limit=queue_limit)
        self._submitted: Counter[str] = Counter()
        self._being_written: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        await self.batcher.__aenter__()
        await self._key_batcher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.batcher.__aexit__(kind, error, trace)
        await self._key_batcher.__aexit__(kind, error, trace)

    async def receive(self, placing: Placing) -> Receipt:
        """Raises Overloaded or LimitReached if nothing was written, DatabaseUnavailable if it is unknown whether it was."""
        if self.batcher.running_for_s > SLOW_COMMIT_S:
            raise Overloaded(
                f"Orders are written too slowly just now: this request did nothing. {SEND_AGAIN_WITH_THE_SAME_KEY}"
            )
        self._submitted[placing.key] += 1
        try:
            receipt = await self.batcher.submit(placing)
        finally:
            self._submitted[placing.key] -= 1
            if not self._submitted[placing.key]:
                del self._submitted[placing.key]
        if receipt.refusal is not None:
            self._limit_reached.inc()
            raise receipt.refusal
        return receipt

    def is_receiving(self, key: str) -> bool:
        """Return whether a request waits for this key's commit, or a commit writes it although its request has timed out."""
        return key in self._submitted or key in self._being_written

    async def find(self, key: str) -> KeyedOrder | None:
        return await self._key_batcher.submit(key)

    async def _commit(self, batch: Sequence[Placing]) -> list[Receipt]:
        self._being_written = frozenset(placing.key for placing in batch)
        try:
            async with self._database.statement() as connection:
                refused = await self._refusals(connection, batch)
                accepted = [placing for placing in batch if placing.order.id not in refused]
                received = await receive_orders.receive(connection, accepted)
            receipts = refused | self._request_decisions(accepted, received)
            repeats = [placing for placing in batch if placing.order.id in received.repeats]
            if repeats:
                known = await self._read([placing.key for placing in repeats])
                receipts |= {each.order.id: receipt_of(each, known.get(each.key)) for each in repeats}
        finally:
            self._being_written = frozenset()
        return [receipts[placing.order.id] for placing in batch]

    async def _refusals(self, connection: AsyncConnection, batch: Sequence[Placing]) -> dict[UUID, Receipt]:
        if not self._limits.are_on:
            return {}
        stored = await receive_orders.read_usages(connection, batch)
        refused = refusals(batch, stored, self._limits)
        return {order_id: Receipt(refusal=refusal) for order_id, refusal in refused.items()}

    def _request_decisions(self, batch: Sequence[Placing], received: Received) -> dict[UUID, Receipt]:
        """Ask stock about the new orders at once, in one request, whether or not their students still wait."""
        new = [
            pending_order(placing.order, at=received.at)
            for placing in batch
            if placing.order.id not in received.repeats
        ]
        self._queue_depth.received(len(new))
        requests = self._settle_orders.request(new)
        return {
            order.id: Receipt(order=order, running=running)
            for order, running in zip(new, requests, strict=True)
        }

    async def _find(self, keys: Sequence[str]) -> list[KeyedOrder | None]:
        known = await self._read(keys)
        return [known.get(key) for key in keys]

    async def _read(self, keys: Sequence[str]) -> dict[str, KeyedOrder]:
        async with self._database.statement() as connection:
            return await receive_orders.find_by_key(connection, keys)
