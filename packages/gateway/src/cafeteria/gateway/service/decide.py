"""RECEIVED → DECIDED → SETTLED: asks stock about PENDING orders and stores what stock has committed.

Orders that are stored together are asked about together, in one request, and each is settled by its own decision.
The gateway moves only on stock's committed decision. Whatever goes wrong on the way leaves the order where it
was, at a point from which the same steps lead to the same end: the same question gets the same answer, and
the second to store it finds that the order has moved and answers what is stored.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from cafeteria.chassis import logs
from cafeteria.chassis.bus import NoAnswer, PeerRefused
from cafeteria.chassis.clock import now
from cafeteria.chassis.database import Database
from cafeteria.chassis.errors import Unavailable
from cafeteria.chassis.group_commit import GroupCommit
from cafeteria.contracts.stock import MAX_ORDERS, StockDecided
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
from cafeteria.gateway.peers import Stock, is_away
from cafeteria.gateway.repository import decisions
from cafeteria.gateway.views import Backlog

DECIDE_WITHIN_S = 1.3  # as long as a student waits; a repeat after that asks again, and so does retry pending
DRAIN_S = 0.5  # at shutdown; what is cut off is asked again after the restart or by a replica

logger = logs.get_logger()

Question = asyncio.Future[Answer | None]
"""Ends with the order's final answer, or with None when it is not known yet; never raises."""


class Wakes(Protocol):
    """Something that can be told to look at once."""

    def wake(self) -> None: ...


class Decider:
    """One question at a time about an order, many orders in a question; who asks about an order meanwhile joins.

    Enter it to start; leaving it waits DRAIN_S for what is under way.
    """

    def __init__(self, *, database: Database, stock: Stock, relay: Wakes, backlog: Backlog) -> None:
        self._database = database
        self._stock = stock
        self._relay = relay
        self._backlog = backlog
        self._settling = GroupCommit("gateway-settle", self._settle)
        self._questions: dict[UUID, Question] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._settling.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=DRAIN_S)
            for task in late:
                task.cancel()
        await self._settling.__aexit__(kind, error, trace)

    async def answer(self, order: PendingOrder, *, deadline: float) -> Answer | None:
        """The final answer, or None when it is not known by `deadline`, by the loop's clock.

        Joins the running question about the order; when that one ends without an answer, asks once about it alone.
        """
        running = self._questions.get(order.id)
        if running is not None:
            answer = await answer_of(running, deadline=deadline)
            if answer is not None or not running.done():
                return answer
        [alone] = self.ask((order,))
        return await answer_of(alone, deadline=deadline)

    def ask(self, orders: Sequence[PendingOrder]) -> list[Question]:
        """The question about each order: the one that runs, or a new one together with the other new ones.

        Questions go on if nobody waits for them.
        """
        loop = asyncio.get_running_loop()
        new = list({order.id: order for order in orders if order.id not in self._questions}.values())
        self._questions |= {order.id: loop.create_future() for order in new}
        questions = [self._questions[order.id] for order in orders]
        for start in range(0, len(new), MAX_ORDERS):
            task = asyncio.create_task(self._carry(new[start : start + MAX_ORDERS]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return questions

    async def _carry(self, orders: Sequence[PendingOrder]) -> None:
        """Ends the question about each of the orders, whatever happens."""
        unanswered = {order.id for order in orders}
        deadline = asyncio.get_running_loop().time() + DECIDE_WITHIN_S
        try:
            await self._decide(orders, unanswered, deadline)
        except Exception:
            logger.exception("orders_not_decided", orders=len(unanswered))
        finally:
            for order_id in unanswered:
                self._end(order_id, None)

    async def _decide(self, orders: Sequence[PendingOrder], unanswered: set[UUID], deadline: float) -> None:
        """Ask, and settle what is decided; again at once for what a reply had no room for.

        A request that stock refuses is asked again in halves, down to the order that it refuses.
        """
        time_left_s = deadline - asyncio.get_running_loop().time()
        if time_left_s <= 0:
            return
        try:
            decided = await self._stock.reserve(orders, deadline_s=time_left_s)
        except NoAnswer:
            return
        except PeerRefused as refusal:
            if not is_away(refusal):
                await self._decide_in_halves(orders, unanswered, deadline, refusal)
            return
        settlements, missing = settlements_of(orders, decided)
        await self._settle_all(settlements, unanswered)
        if settlements and missing:
            await self._decide(missing, unanswered, deadline)

    async def _decide_in_halves(
        self, orders: Sequence[PendingOrder], unanswered: set[UUID], deadline: float, refusal: PeerRefused
    ) -> None:
        if len(orders) == 1:
            logger.error("question_refused", order_id=str(orders[0].id), reason=str(refusal))
            return
        middle = len(orders) // 2
        await self._decide(orders[:middle], unanswered, deadline)
        await self._decide(orders[middle:], unanswered, deadline)

    async def _settle_all(self, settlements: Sequence[Settlement], unanswered: set[UUID]) -> None:
        """Raises nothing: an order that could not be settled has no answer yet."""
        try:
            outcomes = self._settling.enqueue_all(settlements)
        except Unavailable:
            return
        for settled, outcome in zip(settlements, outcomes, strict=True):
            order_id = settled.verdict.order.id
            answer = await _settled(outcome, order_id)
            unanswered.discard(order_id)
            self._end(order_id, answer)

    def _end(self, order_id: UUID, answer: Answer | None) -> None:
        self._questions.pop(order_id).set_result(answer)

    async def _settle(self, batch: Sequence[Settlement]) -> list[Answer | None]:
        """Safe to repeat: what has moved is answered from what is stored."""
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


async def answer_of(question: Question, *, deadline: float) -> Answer | None:
    """What it has ended with by `deadline`, by the loop's clock; it goes on when its asker leaves."""
    if not question.done():
        await asyncio.wait((question,), timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
    return question.result() if question.done() else None


def settlements_of(
    orders: Sequence[PendingOrder], decided: Sequence[StockDecided]
) -> tuple[list[Settlement], list[PendingOrder]]:
    """What the decisions make of the orders, and the orders of which none speaks.

    A decision that does not fit its order is logged and leaves it PENDING, and so does one that nobody asked for.
    """
    missing = {order.id: order for order in orders}
    settlements: list[Settlement] = []
    at = now()
    for decision in decided:
        order = missing.pop(decision.order_id, None)
        if order is None:
            logger.error("decision_not_asked_for", order_id=str(decision.order_id))
            continue
        try:
            settlements.append(settlement(judge(order, decision, at=max(at, order.created_at))))
        except Exception:
            logger.exception("decision_unusable", order_id=str(order.id))
    return settlements, list(missing.values())


async def _settled(outcome: asyncio.Future[Answer | None], order_id: UUID) -> Answer | None:
    try:
        return await outcome
    except Unavailable:
        return None
    except Exception:
        logger.exception("order_not_settled", order_id=str(order_id))
        return None


def answer_without_key(order: StoredOrder) -> Answer | None:
    """For an order that moved on without a settlement (its row came from a backup, then the kitchen told of it)."""
    if order.status is OrderStatus.PENDING:
        return None
    return Answer(status=CREATED, body=order_body(order))
