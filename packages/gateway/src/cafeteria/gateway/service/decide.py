"""RECEIVED → DECIDED → SETTLED: asks stock about a PENDING order and writes down what stock has committed.

The gateway moves only on stock's committed decision. Whatever goes wrong on the way leaves the order where it
was, at a point from which the same steps lead to the same end: the same question gets the same answer, and
the second to write it down finds that the order has moved and answers what is stored.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from cafeteria.chassis import logs, trace
from cafeteria.chassis.clock import now
from cafeteria.chassis.database import Database
from cafeteria.chassis.errors import Unavailable
from cafeteria.chassis.group_commit import GroupCommit
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.domain import (
    CREATED,
    Answer,
    PendingOrder,
    Settlement,
    StoredOrder,
    judge,
    order_body,
    settlement,
)
from cafeteria.gateway.peers import Stock
from cafeteria.gateway.repository import decisions
from cafeteria.gateway.views import Backlog

DRAIN_S = 0.5  # at shutdown; what is cut off is asked again after the restart or by a replica

logger = logs.get_logger()


class Wakes(Protocol):
    """Something that can be told to look at once."""

    def wake(self) -> None: ...


class Decider:
    """One task for each order; whoever asks about the same order meanwhile joins it.

    Enter it to start; leaving it waits DRAIN_S for what is under way.
    """

    def __init__(self, *, database: Database, stock: Stock, relay: Wakes, backlog: Backlog) -> None:
        self._database = database
        self._stock = stock
        self._relay = relay
        self._backlog = backlog
        self._settling = GroupCommit("gateway-settle", self._settle)
        self._running: dict[UUID, asyncio.Task[Answer | None]] = {}

    async def __aenter__(self) -> Self:
        await self._settling.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=DRAIN_S)
            for task in late:
                task.cancel()
        await self._settling.__aexit__(kind, error, trace)

    async def answer(self, order: PendingOrder, *, deadline: float) -> Answer | None:
        """The final answer, or None when it is not known by `deadline`, by the loop's clock.

        Who joined a question that then got no answer asks for themselves.
        """
        has_joined = order.id in self._running
        answer = await self._answer_of(self.carry_on(order), deadline)
        if answer is None and has_joined:
            answer = await self._answer_of(self.carry_on(order), deadline)
        return answer

    def carry_on(self, order: PendingOrder) -> asyncio.Task[Answer | None]:
        """The final answer, or None when it is not known yet; never raises. Goes on if nobody waits for it."""
        task = self._running.get(order.id)
        if task is None:
            task = self._running[order.id] = asyncio.create_task(self._carry(order))
            task.add_done_callback(lambda _: self._running.pop(order.id))
        return task

    async def _answer_of(self, task: asyncio.Task[Answer | None], deadline: float) -> Answer | None:
        await asyncio.wait((task,), timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        return task.result() if task.done() and not task.cancelled() else None

    async def _carry(self, order: PendingOrder) -> Answer | None:
        try:
            decided = await self._stock.reserve(order)  # S1; from its reply on the order is DECIDED
            verdict = judge(order, decided, at=now())
            settled = settlement(verdict, traceparent=trace.current())
            return await self._settling.submit(settled)  # G2; the order is SETTLED
        except Unavailable:
            return None
        except Exception:
            logger.exception("order_not_decided", order_id=str(order.id))
            return None

    async def _settle(self, batch: Sequence[Settlement]) -> list[Answer | None]:
        """G2 for a batch. Safe to repeat: what has moved is answered from what is stored."""
        settlements = {each.verdict.order.id: each for each in batch}
        async with self._database.statement() as connection:
            unmoved = await decisions.settle(connection, list(settlements.values()))
        if moved := len(settlements) - len(unmoved):
            self._relay.wake()
            self._backlog.settled(moved)
        answers: dict[UUID, Answer | None] = {
            order_id: settled.verdict.answer for order_id, settled in settlements.items()
        }
        if unmoved:
            answers |= dict.fromkeys(unmoved) | await self._stored_answers(unmoved)
        return [answers.get(each.verdict.order.id) for each in batch]

    async def _stored_answers(self, order_ids: set[UUID]) -> dict[UUID, Answer | None]:
        async with self._database.statement() as connection:
            found = await decisions.find_answers(connection, list(order_ids))
        return {order_id: answer or answer_without_key(order) for order_id, (order, answer) in found.items()}


def answer_without_key(order: StoredOrder) -> Answer | None:
    """For an order that moved on without G2 (its row came from a backup, then the kitchen told of it)."""
    if order.status is OrderStatus.PENDING:
        return None
    return Answer(status=CREATED, body=order_body(order))
