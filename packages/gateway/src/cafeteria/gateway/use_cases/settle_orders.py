"""Reserve and settle, RECEIVED → DECIDED → SETTLED: get stock's decisions on PENDING orders and store them.

Orders of one commit share one request to stock; each is settled by its own decision. An order changes only by a
decision that stock has committed. A failure leaves the order at its recovery point, and the same steps from there
lead to the same end: stock answers a repeated request with the same decision, and a second settlement of an order
finds it settled and returns the stored answer.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging import NoAnswer, PeerRefused
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.stock import MAX_ORDERS, StockDecided
from cafeteria.gateway.answers import Answer, RunningRequest, Settlement, answer_without_key, settlement
from cafeteria.gateway.clients import Stock, is_away
from cafeteria.gateway.domain import PendingOrder, judge
from cafeteria.gateway.load import QueueDepth
from cafeteria.gateway.repository import settle_orders

DECIDE_WITHIN_S = 1.3  # how long a student waits; later a repeat asks stock again, and so does retry pending
DRAIN_S = 0.5  # at shutdown; a replica, or this one after the restart, repeats the requests that are cut off

logger = logs.get_logger()


class SettleOrders:
    """Asks stock about many orders per request; runs at most one request per order, and later callers await that one.

    Use it as a context manager; exiting waits up to DRAIN_S for running requests. `on_settled` is called after a commit
    that stored messages.
    """

    def __init__(
        self, database: Database, stock: Stock, queue_depth: QueueDepth, *, on_settled: Callable[[], None]
    ) -> None:
        self._database = database
        self._stock = stock
        self._queue_depth = queue_depth
        self._on_settled = on_settled
        self.batcher = GroupCommit("gateway-settle", self._commit)
        self._running: dict[UUID, RunningRequest] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.batcher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=DRAIN_S)
            for task in late:
                task.cancel()
        await self.batcher.__aexit__(kind, error, trace)

    async def answer(self, order: PendingOrder, *, deadline: float) -> Answer | None:
        """Return the final answer, or None if it is not known by `deadline` (event loop time).

        Awaits the order's running request; if that ends without an answer, sends one request for this order alone.
        """
        running = self._running.get(order.id)
        if running is not None:
            answer = await wait_for_answer(running, deadline=deadline)
            if answer is not None or not running.done():
                return answer
        [alone] = self.request((order,))
        return await wait_for_answer(alone, deadline=deadline)

    def request(self, orders: Sequence[PendingOrder]) -> list[RunningRequest]:
        """Return each order's request: the running one, or a new one that it shares with the other new orders.

        Requests continue if nobody awaits them.
        """
        loop = asyncio.get_running_loop()
        new = list({order.id: order for order in orders if order.id not in self._running}.values())
        self._running |= {order.id: loop.create_future() for order in new}
        requests = [self._running[order.id] for order in orders]
        for start in range(0, len(new), MAX_ORDERS):
            task = asyncio.create_task(self._run_requests(new[start : start + MAX_ORDERS]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return requests

    async def _run_requests(self, orders: Sequence[PendingOrder]) -> None:
        """Set the result of each order's request, also after a failure."""
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
            logger.error("request_refused", order_id=str(orders[0].id), reason=str(refusal))
            return
        middle = len(orders) // 2
        await self._decide(orders[:middle], unanswered, deadline)
        await self._decide(orders[middle:], unanswered, deadline)

    async def _settle_all(self, settlements: Sequence[Settlement], unanswered: set[UUID]) -> None:
        """Settle, and end the requests. Raises nothing: an order that could not be settled has no answer yet."""
        try:
            outcomes = self.batcher.enqueue_all(settlements)
        except Unavailable:
            return
        for settled, outcome in zip(settlements, outcomes, strict=True):
            order_id = settled.verdict.order.id
            answer = await _answer_of(outcome, order_id)
            unanswered.discard(order_id)
            self._end(order_id, answer)

    def _end(self, order_id: UUID, answer: Answer | None) -> None:
        self._running.pop(order_id).set_result(answer)

    async def _commit(self, batch: Sequence[Settlement]) -> list[Answer | None]:
        """Settle in one commit. Safe to repeat: orders that are no longer PENDING get their stored answers."""
        settlements = {each.verdict.order.id: each for each in batch}
        async with self._database.statement() as connection:
            unchanged = await settle_orders.settle(connection, list(settlements.values()))
        if settled := len(settlements) - len(unchanged):
            self._on_settled()
            self._queue_depth.settled(settled)
        answers: dict[UUID, Answer | None] = {order_id: each.answer for order_id, each in settlements.items()}
        if unchanged:
            answers |= dict.fromkeys(unchanged) | await self._stored_answers(unchanged)
        return [answers.get(each.verdict.order.id) for each in batch]

    async def _stored_answers(self, order_ids: set[UUID]) -> dict[UUID, Answer | None]:
        async with self._database.statement() as connection:
            found = await settle_orders.find_answers(connection, list(order_ids))
        return {order_id: answer or answer_without_key(order) for order_id, (order, answer) in found.items()}


async def wait_for_answer(running: RunningRequest, *, deadline: float) -> Answer | None:
    """Return the result, or None if it runs past `deadline` (event loop time).

    The request continues if its caller is cancelled.
    """
    if not running.done():
        await asyncio.wait((running,), timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
    return running.result() if running.done() else None


def settlements_of(
    orders: Sequence[PendingOrder], decided: Sequence[StockDecided]
) -> tuple[list[Settlement], list[PendingOrder]]:
    """Return the settlements of the decided orders, and the orders that have no decision.

    A decision that does not fit its order is logged and leaves it PENDING; one on an order of no request is logged.
    """
    missing = {order.id: order for order in orders}
    settlements: list[Settlement] = []
    at = now()
    for decision in decided:
        order = missing.pop(decision.order_id, None)
        if order is None:
            logger.error("decision_unrequested", order_id=str(decision.order_id))
            continue
        try:
            settlements.append(settlement(judge(order, decision, at=max(at, order.created_at))))
        except Exception:
            logger.exception("decision_unusable", order_id=str(order.id))
    return settlements, list(missing.values())


async def _answer_of(outcome: asyncio.Future[Answer | None], order_id: UUID) -> Answer | None:
    try:
        return await outcome
    except Unavailable:
        return None
    except Exception:
        logger.exception("order_not_settled", order_id=str(order_id))
        return None
