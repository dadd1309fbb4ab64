"""Reserve and settle, RECEIVED → DECIDED → SETTLED: gets stock's decisions on PENDING orders and stores them.

Orders of one commit share one request to stock; each is settled by its own decision. An order changes only by a
decision that stock has committed. A failure leaves the order at its recovery point, and the same steps from there
lead to the same end: stock answers a repeated request with the same decision, and a second settlement of an order
finds it settled and returns the stored answer.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging import NoAnswer, PeerRefused
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import Unavailable
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

DECIDE_WITHIN_S = 1.3  # how long a student waits; later a repeat asks stock again, and so does retry pending
DRAIN_S = 0.5  # at shutdown; a replica, or this one after the restart, repeats the requests that are cut off

logger = logs.get_logger()

Question = asyncio.Future[Answer | None]
"""A running request to stock about one order: results in its final answer, or None if not known yet; never raises."""


class Wakes(Protocol):
    """A periodic task that can be woken early."""

    def wake(self) -> None: ...


class Decider:
    """Asks stock about many orders per request; runs at most one request per order, and later callers await that one.

    Use it as a context manager; exiting waits up to DRAIN_S for running requests.
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
        """Return the final answer, or None if it is not known by `deadline` (event loop time).

        Awaits the order's running request; if that ends without an answer, sends one request for this order alone.
        """
        running = self._questions.get(order.id)
        if running is not None:
            answer = await answer_of(running, deadline=deadline)
            if answer is not None or not running.done():
                return answer
        [alone] = self.ask((order,))
        return await answer_of(alone, deadline=deadline)

    def ask(self, orders: Sequence[PendingOrder]) -> list[Question]:
        """Return each order's request: the running one, or a new one that it shares with the other new orders.

        Requests continue if nobody awaits them.
        """
        loop = asyncio.get_running_loop()
        new = list({order.id: order for order in orders if order.id not in self._questions}.values())
        self._questions |= {order.id: loop.create_future() for order in new}
        questions = [self._questions[order.id] for order in orders]
        for start in range(0, len(new), MAX_ORDERS):
            task = asyncio.create_task(self._run_questions(new[start : start + MAX_ORDERS]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return questions

    async def _run_questions(self, orders: Sequence[PendingOrder]) -> None:
        """Set the result of each order's question, also after a failure."""
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
        """Ask stock and settle the decided orders; ask again at once for orders that did not fit into the reply.

        If stock refuses the request, the two halves are asked alone, down to the order that stock refuses.
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
        """Settle, and end the questions. Raises nothing: an order that could not be settled has no answer yet."""
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
        """Commit a batch. Safe to repeat: orders that are no longer PENDING get their stored answers."""
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
    """Its result, or None if it runs past `deadline` (event loop time); it continues if its caller is cancelled."""
    if not question.done():
        await asyncio.wait((question,), timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
    return question.result() if question.done() else None


def settlements_of(
    orders: Sequence[PendingOrder], decided: Sequence[StockDecided]
) -> tuple[list[Settlement], list[PendingOrder]]:
    """The settlements of the decided orders, and the orders that have no decision.

    A decision that does not fit its order is logged and leaves it PENDING; one on an order of no request is logged.
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
    """For an order that left PENDING without a settlement (restored from a backup, then projected from an event)."""
    if order.status is OrderStatus.PENDING:
        return None
    return Answer(status=CREATED, body=order_body(order))
