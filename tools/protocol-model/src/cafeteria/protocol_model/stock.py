"""The simulated stock: decide, in batches of many orders, and release. The rules are `cafeteria.stock.domain` itself.

A batch reads, decides in memory, and writes only if nothing that it read has changed; another replica may have been
faster.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from msgspec.structs import replace

from cafeteria.contracts.stock import (
    ItemPrice,
    OrdersDecided,
    ReleaseStock,
    ReserveOrders,
    ReserveStock,
    StockDecided,
    StockReleased,
)
from cafeteria.protocol_model.scheduler import EPOCH, LOST, Commit, Replica, Request, Scheduler, Steps, busy
from cafeteria.stock.domain import Changes, DecidedLine, LedgerEntry, Reservation, Shelf, StoredItem

Command = ReserveStock | ReleaseStock
Question = ReserveOrders | ReleaseStock

TRIES = 20


class StockTables:
    """Stock's rows. `restocked` is what came in; `asked_at` is when the request that decided an order was sent."""

    def __init__(self, scheduler: Scheduler, portions: dict[UUID, int]) -> None:
        self.scheduler = scheduler
        self.guards = scheduler.guards
        self.restocked = portions
        self.items = {
            item_id: StoredItem(
                id=item_id, name="dish", price=Decimal("2.50"), on_sale=True, quantity=quantity, version=1
            )
            for item_id, quantity in portions.items()
        }
        self.reservations: dict[UUID, Reservation] = {}
        self.ledger: list[LedgerEntry] = []
        self.asked_at: dict[UUID, datetime] = {}

    def read(self, commands: Iterable[Command]) -> tuple[list[StoredItem], list[Reservation]]:
        """Return items and earlier decisions, from one snapshot."""
        reservations = []
        for command in commands:
            reservation = self.reservations.get(command.order_id)
            if reservation is None or not (self.guards.decision_row or command.__class__ is ReleaseStock):
                continue
            reservations.append(
                reservation if self.guards.released_once else replace(reservation, released_at=None)
            )
        return list(self.items.values()), reservations

    def write(self, changes: Changes, asked_at: dict[UUID, datetime]) -> bool:
        """Decide: write everything, or nothing when a row has changed since it was read."""
        if self._has_moved(changes):
            self.scheduler.note("another replica was faster")
            return False
        for reservation in changes.decided:
            if self.guards.tombstone or reservation.lines:
                self.reservations[reservation.order_id] = reservation
                self.asked_at[reservation.order_id] = asked_at[reservation.order_id]
            self.scheduler.note("order {.int}: {.decision}", reservation.order_id, reservation)
        for order_id in changes.released:
            self.reservations[order_id] = replace(self.reservations[order_id], released_at=self.scheduler.now)
            self.scheduler.note("order {.int} is released", order_id)
        self.ledger.extend(changes.ledger)
        for item in changes.items:
            self.items[item.id] = item
        return True

    def _has_moved(self, changes: Changes) -> bool:
        if self.guards.item_versions:
            for item in changes.items:
                if self.items[item.id].version != item.version - 1:
                    return True
        if self.guards.decision_row:
            for reservation in changes.decided:
                if reservation.order_id in self.reservations:
                    return True
        if self.guards.released_once:
            return any(self.reservations[each].released_at is not None for each in changes.released)
        return False


class StockReplica(Replica):
    """One process of stock. Requests that arrive while a batch runs form the next one."""

    def __init__(self, scheduler: Scheduler, name: str, tables: StockTables) -> None:
        super().__init__(scheduler, name)
        self.tables = tables
        self.queue: list[Request] = []

    def forget(self) -> None:
        super().forget()
        self.queue.clear()

    def handle(self, request: Request) -> None:
        self.queue.append(request)
        self.run_alone("decide", self._work)

    def _work(self) -> Steps:
        yield from busy(self.scheduler, "decide of others")
        while self.queue:
            batch, self.queue = self.queue, []
            decided = yield from self._commit(batch)
            if decided is LOST:
                decided = yield from self._commit(batch)
            for request in batch:
                if decided is not LOST:
                    request.reply(self._reply_to(request.question, decided))

    def _commit(self, batch: list[Request]) -> Steps:
        """Commit the decisions on all orders of these requests, and return them."""
        commands = [command for request in batch for command in _commands(request.question)]
        asked_at: dict[UUID, datetime] = {}
        for request in batch:
            for command in _commands(request.question):
                asked_at.setdefault(command.order_id, request.sent_at)
        for _ in range(TRIES):
            read = yield Commit("decide reads items and decisions", self.tables.read, commands)
            if read is LOST:
                return LOST
            items, reservations = read
            shelf = Shelf(items=items, reservations=reservations, now=self.scheduler.now)
            decided = {command.order_id: self._decide(shelf, command) for command in commands}
            changes = shelf.changes
            if not changes:
                return decided
            written = yield Commit("decide", self.tables.write, changes, asked_at)
            if written is LOST:
                return LOST
            if written:
                return decided
        return LOST

    def _decide(self, shelf: Shelf, command: Command) -> Reservation:
        if isinstance(command, ReleaseStock):
            return shelf.release(command.order_id)
        if not self.scheduler.guards.expiry:
            command = replace(command, age_ms=0)
        return shelf.reserve(command)

    def _reply_to(
        self, question: Question, decided: dict[UUID, Reservation]
    ) -> OrdersDecided | StockReleased:
        """Build the reply from stored decisions alone. A reply about many orders may lack some."""
        if isinstance(question, ReleaseStock):
            released_at = decided[question.order_id].released_at
            return StockReleased(order_id=question.order_id, released_at=released_at or EPOCH)
        scheduler = self.scheduler
        return OrdersDecided(
            decisions=tuple(
                _on_the_wire(decided[order.order_id])
                for order in question.orders
                if scheduler.is_quiescing or not scheduler.happens(scheduler.fault_rates.undecided)
            )
        )


def _commands(question: Question) -> Sequence[Command]:
    return question.orders if isinstance(question, ReserveOrders) else (question,)


def _on_the_wire(reservation: Reservation) -> StockDecided:
    return StockDecided(
        order_id=reservation.order_id,
        decision=reservation.decision,
        reason=reservation.reason,
        items=tuple(_price(line) for line in reservation.lines if line.name is not None),
        refused_item_ids=tuple(line.item_id for line in reservation.lines if line.refused),
    )


def _price(line: DecidedLine) -> ItemPrice:
    return ItemPrice(item_id=line.item_id, name=line.name or "", unit_price=line.unit_price or Decimal(0))
