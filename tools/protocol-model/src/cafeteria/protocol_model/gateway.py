"""The simulated gateway: receive, reserve, settle, cancel, project, relay, and the jobs that retry and reconcile. Its
control flow copies `cafeteria.gateway.use_cases`; the rules for orders are `cafeteria.gateway.domain` itself.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

from cafeteria.contracts.kitchen import CancelAnswered
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus, OrderStatusChanged
from cafeteria.contracts.stock import (
    Decision,
    OrdersDecided,
    ReleaseStock,
    ReserveOrders,
    ReserveStock,
    StockDecided,
)
from cafeteria.contracts.values import OrderStatus, RejectionReason
from cafeteria.gateway.answers import Answer, KeyedOrder, order_body
from cafeteria.gateway.domain import (
    PendingOrder,
    Placing,
    StoredOrder,
    Verdict,
    as_pending,
    as_received,
    cancel_ticket,
    judge,
    path_of,
)
from cafeteria.protocol_model.bus import Bus
from cafeteria.protocol_model.consumer import consume
from cafeteria.protocol_model.gateway_tables import GatewayTables, Received, items_of
from cafeteria.protocol_model.outbox import relay
from cafeteria.protocol_model.reconciliation import reconcile
from cafeteria.protocol_model.scheduler import (
    LOST,
    Ask,
    Commit,
    Listener,
    Replica,
    Request,
    Scheduler,
    Steps,
    Unknown,
    busy,
    twice,
)
from cafeteria.protocol_model.students import Sent

CREATED, RECEIVED, CANCELLED_NOW = 201, 202, 200
CONFLICT, KEY_REUSED, UNAVAILABLE = 409, 422, 503
IMPATIENT = 0.1  # of the answers are given before stock has decided

MOST_ORDERS = 3
"""In one batch and one question; 128 in the product."""
MILLISECOND = timedelta(milliseconds=1)

Asked = tuple[Sent, Placing]
Waiting = tuple[Sent, PendingOrder]
Answers = dict[UUID, Answer | None]


class Receivers(NamedTuple):
    """The replicas to which the gateway sends requests."""

    stock: Sequence[Listener]
    kitchen: Sequence[Listener]
    notification: Sequence[Listener]


class GatewayReplica(Replica):
    def __init__(
        self, scheduler: Scheduler, name: str, *, tables: GatewayTables, bus: Bus, receivers: Receivers
    ) -> None:
        super().__init__(scheduler, name)
        self.tables = tables
        self.bus = bus
        self.receivers = receivers
        self.queue: list[Asked] = []

    def forget(self) -> None:
        super().forget()
        self.queue.clear()
        self.bus.projection.abandon(self)
        if self.tables.outbox.holder is self:
            self.tables.outbox.holder = None

    # --- requests of students ----------------------------------------------------------------------------

    def place(self, sent: Sent, placing: Placing) -> None:
        """Receive, then reserve and settle, even if the student no longer waits. Later requests form the next batch."""
        self.queue.append((sent, placing))
        self.run_alone("receive", self._receive)

    def _receive(self) -> Steps:
        yield from busy(self.scheduler, "receive of others")
        while self.queue:
            batch, self.queue = self.queue[:MOST_ORDERS], self.queue[MOST_ORDERS:]
            received = yield from twice("receive", self.tables.receive, [placing for _, placing in batch])
            if received is LOST:
                self.scheduler.begin(self, self._look_up(batch))
            else:
                self._continue(batch, received)

    def _look_up(self, batch: list[Asked]) -> Steps:
        """Read the keys of a batch whose commit got no answer: it may have happened or not."""
        keys = [placing.key for _, placing in batch]
        looked_up = yield Commit("looks up the keys", self.tables.find_by_keys, keys)
        found = [None] * len(batch) if looked_up is LOST else looked_up
        for asked, keyed in zip(batch, found, strict=True):
            if keyed is None:
                asked[0].answered(UNAVAILABLE, b"")
            else:
                self._repeat(*asked, keyed)

    def _continue(self, batch: list[Asked], received: list[Received]) -> None:
        """Reserve the new orders in one request; answer each repeated key by itself."""
        new: list[Waiting] = []
        for (sent, placing), (keyed, is_new) in zip(batch, received, strict=True):
            if is_new:
                new.append((sent, as_pending(keyed.order)))
            else:
                self._repeat(sent, placing, keyed)
        if new:
            self.scheduler.begin(self, self._answer(new))

    def _repeat(self, sent: Sent, placing: Placing, keyed: KeyedOrder) -> None:
        """Answer from the order stored under the key; it may be this request's own, if its COMMIT got no answer."""
        is_replay = keyed.order.id != placing.order.id
        if keyed.request_hash != placing.request_hash:
            sent.answered(KEY_REUSED, b"")
        elif keyed.answer is not None:
            sent.answered(keyed.answer.status, keyed.answer.body, replayed=is_replay)
        else:
            waiting = [(sent, as_pending(keyed.order))]
            self.scheduler.begin(self, self._answer(waiting, replayed=is_replay))

    def _answer(self, waiting: list[Waiting], *, replayed: bool = False) -> Steps:
        patient = []
        for sent, order in waiting:
            if not self.scheduler.is_quiescing and self.scheduler.happens(IMPATIENT):
                sent.answered(RECEIVED, order_body(as_received(order)))
            else:
                patient.append((sent, order))
        answers: Answers = yield from self.carry_on([order for _, order in waiting])
        for sent, order in patient:
            answer = answers.get(order.id)
            if answer is None:
                sent.answered(RECEIVED, order_body(as_received(order)))
            else:
                sent.answered(answer.status, answer.body, replayed=replayed)

    def carry_on(self, orders: list[PendingOrder]) -> Steps:
        """Reserve and settle a batch; return the final answers that are known by then."""
        question = ReserveOrders(orders=tuple(self._question(order) for order in orders))
        replied = yield Ask("reserve", self.receivers.stock, question)
        if replied is LOST:
            return {}
        verdicts = self._judge(orders, replied)
        if not verdicts:
            return {}
        in_commit = self.scheduler.guards.outbox_in_commit
        if not in_commit:
            items = [item for verdict in verdicts for item in items_of(verdict.order)]
            yield Commit("settle, the messages alone", self.tables.outbox.add, items)
        outcome = yield from twice("settle", partial(self.tables.settle, with_outbox=in_commit), verdicts)
        if outcome is LOST:
            return {}
        return {verdict.order.id: self.tables.find_answer(verdict.order.id) for verdict in verdicts}

    def _question(self, order: PendingOrder) -> ReserveStock:
        age = self.scheduler.now - order.created_at
        return ReserveStock(order_id=order.id, lines=order.lines, age_ms=age // MILLISECOND)

    def _judge(self, orders: list[PendingOrder], replied: OrdersDecided) -> list[Verdict]:
        """Return a verdict for each order that stock has decided."""
        decided = {each.order_id: each for each in replied.decisions}
        if not self.scheduler.guards.unanswered_stay_pending:
            decided = {order.id: _refused(order) for order in orders} | decided
        at = self.scheduler.now
        return [judge(order, decided[order.id], at=at) for order in orders if order.id in decided]

    def cancel(self, sent: Sent, order_id: UUID) -> Steps:
        """Ask the kitchen to cancel; the gateway projects the reply like an event of the kitchen."""
        order = yield Commit("reads the order", self.tables.find_order, order_id)
        if order is not LOST and order.status is OrderStatus.PENDING:
            yield from self.carry_on([as_pending(order)])
            order = yield Commit("reads the order", self.tables.find_order, order_id)
        if order is not LOST and order.status is OrderStatus.STOCK_VERIFIED:
            answered = yield Ask("cancel", self.receivers.kitchen, cancel_ticket(order))
            if answered is not LOST:
                answered = yield Commit(
                    "project by the answer", self.tables.project, [_as_event(answered, order)]
                )
            if answered is LOST:
                sent.answered(UNAVAILABLE, b"")
                return
            order = yield Commit("reads the order", self.tables.find_order, order_id)
        sent.answered(*_cancelled_or_refused(order))

    # --- messages from the bus ---------------------------------------------------------------------------

    def handle(self, request: Request) -> None:
        """Answer the kitchen's question which of its statuses are missing here."""
        asked: CheckDelivery = request.question
        request.reply(DeliveryStatus(missing=self.tables.find_missing(asked.items)))

    def follow_kitchen(self) -> bool:
        """Project: apply the kitchen's statuses to the orders."""
        if not self.bus.projection.waiting:
            return False
        tables, projection = self.tables, self.bus.projection
        return self.run_alone(
            "project", lambda: consume(self, projection, "project", tables.project, tables.dead_letters)
        )

    # --- periodic jobs -----------------------------------------------------------------------------------

    def relay_outbox(self) -> bool:
        """Relay: publish the outbox."""
        if not self.tables.outbox.rows or self.tables.outbox.holder is not None:
            return False
        return self.run_alone("relay", lambda: relay(self, self.tables.outbox, self.bus))

    def retry_pending(self) -> bool:
        """Retry pending: ask stock again about undecided orders."""
        if not self.scheduler.guards.ask_again or not self._is_due(OrderStatus.PENDING):
            return False
        return self.run_alone("retry pending", self._retry_pending)

    def _is_due(self, status: OrderStatus) -> bool:
        now = self.scheduler.now
        return any(
            row.stored.status is status and row.next_ask_at is not None and row.next_ask_at <= now
            for row in self.tables.orders.values()
        )

    def _retry_pending(self) -> Steps:
        due = yield Commit(
            "retry pending claims what is PENDING", self.tables.claim_undecided, self.scheduler.now
        )
        if due is not LOST:
            for start in range(0, len(due), MOST_ORDERS):
                batch = [as_pending(order) for order in due[start : start + MOST_ORDERS]]
                self.scheduler.begin(self, self.carry_on(batch))

    def release_cancelled(self) -> bool:
        """Release cancelled: ask stock to return the portions of cancelled orders."""
        if not self.scheduler.guards.release or not self._is_due(OrderStatus.CANCELLED):
            return False
        return self.run_alone("release cancelled", self._release_cancelled)

    def _release_cancelled(self) -> Steps:
        due = yield Commit(
            "release cancelled claims what is CANCELLED", self.tables.claim_unreleased, self.scheduler.now
        )
        if due is LOST:
            return
        for order_id in due:
            answer = yield Ask("release", self.receivers.stock, ReleaseStock(order_id=order_id))
            if answer is not LOST:
                yield Commit("release cancelled marks it released", self.tables.mark_released, answer)

    def reconcile_delivery(self) -> bool:
        """Reconcile delivery: ask the receivers what they lack."""
        if not self.scheduler.guards.end_to_end or not self.tables.find_unconfirmed(self.scheduler.now):
            return False
        receivers = self.receivers
        return self.run_alone(
            "reconcile",
            lambda: reconcile(self.tables, kitchen=receivers.kitchen, notification=receivers.notification),
        )


def _refused(order: PendingOrder) -> StockDecided:
    return StockDecided(order_id=order.id, decision=Decision.REJECTED, reason=RejectionReason.EXPIRED)


def _as_event(answered: CancelAnswered, order: StoredOrder) -> OrderStatusChanged:
    return OrderStatusChanged(
        order_id=order.id,
        student_id=order.student_id,
        status=answered.status,
        version=answered.version,
        at=answered.at,
        earlier=path_of(order.status_times, below=answered.version),
        reason=answered.reason,
    )


def _cancelled_or_refused(order: StoredOrder | Unknown) -> tuple[int, bytes]:
    if isinstance(order, Unknown) or order.status is OrderStatus.STOCK_VERIFIED:
        return UNAVAILABLE, b""
    if order.status is OrderStatus.CANCELLED:
        return CANCELLED_NOW, order_body(order)
    return CONFLICT, b""
