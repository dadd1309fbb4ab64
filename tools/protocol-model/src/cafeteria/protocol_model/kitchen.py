"""The simulated kitchen: enqueue, cook, cancel, relay and reconcile. The transitions of a ticket and their events are
`cafeteria.kitchen.domain` itself; the rows and conditions copy `cafeteria.kitchen.repository`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket, CookOrder, TicketStatus
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.subjects import KITCHEN, KITCHEN_STATUS
from cafeteria.contracts.values import OrderVersion
from cafeteria.kitchen.domain import (
    CONFIRM_AFTER,
    Move,
    Ticket,
    cancel,
    cancel_answer,
    finish,
    path_before_cooking,
    refuse,
    start,
    status_event_of,
)
from cafeteria.kitchen.pickup import pickup_of
from cafeteria.protocol_model.back_off import back_off
from cafeteria.protocol_model.bus import Bus
from cafeteria.protocol_model.consumer import DeadLetters, consume
from cafeteria.protocol_model.outbox import Outbox, OutboxItem, relay
from cafeteria.protocol_model.reconciliation import find_missing
from cafeteria.protocol_model.scheduler import (
    LOST,
    Commit,
    Listener,
    Replica,
    Request,
    Scheduler,
    Steps,
    twice,
)

PREP_S = 1.0
PICKUP_KEY = bytes(32)
REFUSES = 0.1
"""How often the kitchen refuses a ticket when it looks at those that wait."""
REFUSAL = "The fryer is broken."


class TicketRow:
    """A row of `kitchen.kitchen_orders`, with its `history`."""

    def __init__(self, ticket: Ticket, at: datetime) -> None:
        self.ticket = ticket
        self.changed_at = at
        self.due_at: datetime | None = None
        self.confirm_at: datetime | None = None
        self.gateway_version = 0
        self.notified_version = 0
        self.history: list[TicketStatus] = []

    @property
    def version(self) -> int:
        return self.ticket.path[-1].version


class KitchenTables:
    """All rows of the kitchen. `tickets` has them by ticket id; an order should have one at most."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.guards = scheduler.guards
        self.tickets: dict[UUID, TicketRow] = {}
        self.of_orders: dict[UUID, list[TicketRow]] = {}
        self.outbox = Outbox(KITCHEN)
        self.dead_letters = DeadLetters()

    def insert(self, work: Iterable[CookOrder | CancelTicket]) -> None:
        """Enqueue: `ON CONFLICT (order_id) DO NOTHING`."""
        for order in work:
            there = self.of_orders.setdefault(order.order_id, [])
            if there and self.guards.one_ticket:
                continue
            row = TicketRow(
                Ticket(
                    id=UUID(int=1000 + len(self.tickets)),
                    order_id=order.order_id,
                    student_id=order.student_id,
                    status=TicketStatus.QUEUED,
                    path=path_before_cooking(order.earlier),
                    pickup=pickup_of(len(self.tickets), PICKUP_KEY),
                ),
                self.scheduler.now,
            )
            there.append(row)
            self.tickets[row.ticket.id] = row
            self.scheduler.note("order {.int} has a ticket", order.order_id)

    def cancel(self, asked: CancelTicket, at: datetime) -> CancelAnswered:
        """Insert the ticket if it has not arrived yet, and cancel it if it is QUEUED, in one commit."""
        self.insert([asked])
        rows = self.of_orders[asked.order_id]
        self.move([cancel(row.ticket, at=at) for row in rows if row.ticket.status is TicketStatus.QUEUED])
        return cancel_answer(rows[-1].ticket)

    def move(self, moves: Iterable[Move], *, with_outbox: bool = True) -> None:
        """Cook: store ticket, history and message, where the ticket still has the status in which it was read."""
        for move in moves:
            row = self.tickets[move.ticket.id]
            if row.ticket.status is not move.was and self.guards.moves_from_state:
                continue
            row.ticket = move.moved
            row.due_at = move.due_at
            if move.status is not TicketStatus.CANCELLED:  # it has no time of its own in the kitchen's rows
                row.changed_at = move.at
            row.confirm_at = move.at + CONFIRM_AFTER
            row.history.append(move.status)
            if with_outbox:
                self.outbox.add([item_of(row.ticket)])
            self.scheduler.note("order {.int} is {}", move.ticket.order_id, move.status)

    def find_queued(self) -> list[UUID]:
        return [row.ticket.id for row in self.tickets.values() if row.ticket.status is TicketStatus.QUEUED]

    def refuse(self, ticket_id: UUID, at: datetime) -> None:
        """Refuse: cancel the ticket for the kitchen if it is still QUEUED, in one commit."""
        ticket = self.tickets[ticket_id].ticket
        if ticket.status is TicketStatus.QUEUED:
            move = refuse(ticket, REFUSAL, at=at)
            self.move([] if move is None else [move])

    def find_workload(self) -> list[Move]:
        """Return the transitions that can happen now: tickets to start and tickets to finish."""
        at = self.scheduler.now
        moves = []
        for row in self.tickets.values():
            if row.ticket.status is TicketStatus.QUEUED:
                moves.append(start(row.ticket, at=at, prep_s=PREP_S))
            elif row.due_at is not None and row.due_at <= at:
                moves.append(finish(row.ticket, at=at))
        return moves

    def has_work(self) -> bool:
        at = self.scheduler.now
        for row in self.tickets.values():
            if row.ticket.status is TicketStatus.QUEUED or (row.due_at is not None and row.due_at <= at):
                return True
        return False

    def find_missing(self, asked: Iterable[OrderVersion]) -> tuple[OrderVersion, ...]:
        """Return the orders without a ticket; a cancelled ticket counts as one."""
        return tuple(each for each in asked if each.order_id not in self.of_orders)

    def find_unconfirmed(self, at: datetime) -> list["Unconfirmed"]:
        return [
            Unconfirmed(row)
            for row in self.tickets.values()
            if row.confirm_at is not None
            and row.confirm_at <= at
            and not self.outbox.holds(row.ticket.order_id)
        ]

    def confirm(self, learned: Iterable["Unconfirmed"], at: datetime) -> None:
        """Reconcile: store the findings, except for tickets that have changed since they were read."""
        for each in learned:
            row = each.row
            if row.confirm_at != each.confirm_at and self.guards.confirms_what_it_read:
                continue
            row.gateway_version = each.gateway_version
            row.notified_version = each.notified_version
            is_known = min(row.gateway_version, row.notified_version) >= row.version
            row.confirm_at = None if is_known else back_off(at, row.changed_at)
            if each.is_missing:
                self.outbox.add([item_of(row.ticket)])


class Unconfirmed:
    """A ticket's status that a receiver may lack, as it was read, and what the receivers answered about it."""

    def __init__(self, row: TicketRow) -> None:
        self.row = row
        self.version = row.version
        self.confirm_at = row.confirm_at
        self.gateway_version = row.gateway_version
        self.notified_version = row.notified_version
        self.is_missing = False

    @property
    def asked(self) -> OrderVersion:
        return OrderVersion(order_id=self.row.ticket.order_id, version=self.version)

    def learn(
        self, at_gateway: frozenset[UUID] | None, at_notification: frozenset[UUID] | None
    ) -> "Unconfirmed":
        """Apply what each receiver lacks; None means that the receiver gave no answer."""
        order_id = self.row.ticket.order_id
        if at_gateway is not None and order_id not in at_gateway:
            self.gateway_version = self.version
        if at_notification is not None and order_id not in at_notification:
            self.notified_version = self.version
        self.is_missing = order_id in (at_gateway or ()) or order_id in (at_notification or ())
        return self


def item_of(ticket: Ticket) -> OutboxItem:
    return OutboxItem(ticket.order_id, KITCHEN_STATUS, status_event_of(ticket))


class KitchenReplica(Replica):
    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        *,
        tables: KitchenTables,
        bus: Bus,
        gateway: Sequence[Listener],
        notification: Sequence[Listener],
    ) -> None:
        super().__init__(scheduler, name)
        self.tables = tables
        self.bus = bus
        self.gateway = gateway
        self.notification = notification

    def forget(self) -> None:
        super().forget()
        self.bus.work.abandon(self)
        if self.tables.outbox.holder is self:
            self.tables.outbox.holder = None

    def handle(self, request: Request) -> None:
        asked: CheckDelivery | CancelTicket = request.question
        if isinstance(asked, CheckDelivery):
            request.reply(DeliveryStatus(missing=self.tables.find_missing(asked.items)))
        else:
            self.scheduler.begin(self, self._cancel(request, asked))

    def _cancel(self, request: Request, asked: CancelTicket) -> Steps:
        answer = yield from twice("cancels", self.tables.cancel, asked, self.scheduler.now)
        request.reply(answer)

    def enqueue(self) -> bool:
        """Enqueue: store tickets for the orders that the stream delivers."""
        if not self.bus.work.waiting:
            return False
        tables, work = self.tables, self.bus.work
        return self.run_alone(
            "enqueue", lambda: consume(self, work, "enqueue", tables.insert, tables.dead_letters)
        )

    def cook(self) -> bool:
        """Cook: start and finish tickets."""
        if not self.tables.has_work():
            return False
        return self.run_alone("cook", self._cook)

    def _cook(self) -> Steps:
        moves = yield Commit("cook reads what can be done", self.tables.find_workload)
        if moves is LOST:
            return
        if self.scheduler.guards.outbox_in_commit:
            yield Commit("cook", self.tables.move, moves)
            return
        items = [item_of(move.moved) for move in moves]
        yield Commit("cook, the messages alone", self.tables.outbox.add, items)
        yield Commit("cook", partial(self.tables.move, with_outbox=False), moves)

    def refuse_something(self) -> bool:
        """Refuse: now and then a person refuses the ticket that waits longest."""
        queued = self.tables.find_queued()
        if not queued or not self.scheduler.happens(REFUSES):
            return False
        self.scheduler.begin(self, self._refuse(queued[0]))
        return True

    def _refuse(self, ticket_id: UUID) -> Steps:
        yield from twice("refuses", self.tables.refuse, ticket_id, self.scheduler.now)

    def relay_outbox(self) -> bool:
        """Relay: publish the outbox."""
        if not self.tables.outbox.rows or self.tables.outbox.holder is not None:
            return False
        return self.run_alone("relay", lambda: relay(self, self.tables.outbox, self.bus))

    def reconcile_delivery(self) -> bool:
        """Reconcile delivery: ask the receivers what they lack."""
        if not self.scheduler.guards.end_to_end or not self.tables.find_unconfirmed(self.scheduler.now):
            return False
        return self.run_alone("reconcile", self._reconcile)

    def _reconcile(self) -> Steps:
        """Reconcile: ask gateway and notification what they lack, and send it again."""
        due = yield Commit(
            "reconcile reads what is unconfirmed", self.tables.find_unconfirmed, self.scheduler.now
        )
        if due is LOST or not due:
            return
        projected = [each.asked for each in due if each.gateway_version < each.version]
        notified = [each.asked for each in due if each.notified_version < each.version]
        at_gateway = yield from find_missing("known to the gateway?", self.gateway, projected)
        at_notification = yield from find_missing("known to notification?", self.notification, notified)
        if at_gateway is None and at_notification is None:
            return
        learned = [each.learn(at_gateway, at_notification) for each in due]
        yield Commit("reconcile writes down what it found", self.tables.confirm, learned, self.scheduler.now)
