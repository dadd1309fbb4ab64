"""Stock: S2, in batches, and the release. What a batch decides is `cafeteria.stock.domain.Shelf` itself.

A batch reads, decides in memory, and writes only if nothing that it read has moved; another replica may have been
faster.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from uuid import UUID

from msgspec.structs import replace

from cafeteria.contracts.stock import (
    MAX_AGE_MS,
    Decision,
    ItemPrice,
    ReleaseStock,
    ReserveStock,
    StockDecided,
    StockReleased,
)
from cafeteria.rush.model.scheduler import DAWN, LOST, Commit, Replica, Request, Scheduler, Steps
from cafeteria.stock.domain import Changes, DecidedLine, LedgerEntry, Reservation, Shelf, StoredItem

Command = ReserveStock | ReleaseStock

TRIES = 20


class StockTables:
    """Stock's rows. `restocked` is what came in, `decided_late` are sentences about orders that had expired."""

    __slots__ = ("decided_late", "guards", "items", "ledger", "reservations", "restocked", "scheduler")

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
        self.decided_late: list[str] = []

    def read(self, commands: Iterable[Command]) -> tuple[list[StoredItem], list[Reservation]]:
        """Items and earlier decisions, from one snapshot."""
        known = []
        for command in commands:
            reservation = self.reservations.get(command.order_id)
            if reservation is None or not (self.guards.decision_row or command.__class__ is ReleaseStock):
                continue
            known.append(reservation if self.guards.released_once else replace(reservation, released_at=None))
        return list(self.items.values()), known

    def write(self, changes: Changes) -> bool:
        """S2: whole, or not at all when something has moved since it was read."""
        if self._has_moved(changes):
            self.scheduler.note("another replica was faster")
            return False
        for reservation in changes.decided:
            if self.guards.tombstone or reservation.lines:
                self.reservations[reservation.order_id] = reservation
            self.scheduler.note("order {.int}: {.decision}", reservation.order_id, reservation)
        for order_id in changes.released:
            self.reservations[order_id] = replace(self.reservations[order_id], released_at=self.scheduler.now)
            self.scheduler.note("order {.int} is released", order_id)
        self.ledger.extend(changes.ledger)
        for item in changes.items:
            self.items[item.id] = item
        return True

    def judge_ages(self, commands: Sequence[Command], changes: Changes) -> None:
        """An order that is asked about for the first time when it is too old takes nothing."""
        ages = {each.order_id: each.age_ms for each in reversed(commands) if isinstance(each, ReserveStock)}
        for each in changes.decided:
            if each.decision is Decision.RESERVED and ages[each.order_id] > MAX_AGE_MS:
                self.decided_late.append(f"order {each.order_id} was reserved {ages[each.order_id]} ms old")

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
    """What arrives while a batch runs forms the next one."""

    __slots__ = ("queue", "tables")

    def __init__(self, scheduler: Scheduler, name: str, tables: StockTables) -> None:
        super().__init__(scheduler, name)
        self.tables = tables
        self.queue: list[Request] = []

    def forget(self) -> None:
        super().forget()
        self.queue.clear()

    def hear(self, request: Request) -> None:
        self.queue.append(request)
        self.run_alone("S2", self._work)

    def _work(self) -> Steps:
        while self.queue:
            batch, self.queue = self.queue, []
            outcomes = yield from self._commit([each.question for each in batch])
            if outcomes is LOST:
                outcomes = yield from self._commit([each.question for each in batch])
            for number, request in enumerate(batch):
                request.reply(LOST if outcomes is LOST else _answer(request.question, outcomes[number]))

    def _commit(self, commands: list[Command]) -> Steps:
        """The decision on each command's order, as committed."""
        for _ in range(TRIES):
            read = yield Commit("S2 reads items and decisions", self.tables.read, commands)
            if read is LOST:
                return LOST
            items, known = read
            shelf = Shelf(items=items, reservations=known, now=self.scheduler.now)
            outcomes = [self._decide(shelf, command) for command in commands]
            changes = shelf.changes
            if not changes:
                return outcomes
            written = yield Commit("S2", self.tables.write, changes)
            if written is LOST:
                return LOST
            if written:
                self.tables.judge_ages(commands, changes)
            if written:
                return outcomes
        return LOST

    def _decide(self, shelf: Shelf, command: Command) -> Reservation:
        if isinstance(command, ReleaseStock):
            return shelf.release(command.order_id)
        if not self.scheduler.guards.expiry:
            command = replace(command, age_ms=0)
        return shelf.reserve(command)


def _answer(command: Command, reservation: Reservation) -> StockDecided | StockReleased:
    """Made of what is stored alone."""
    if isinstance(command, ReleaseStock):
        return StockReleased(order_id=command.order_id, released_at=reservation.released_at or DAWN)
    return StockDecided(
        order_id=reservation.order_id,
        decision=reservation.decision,
        reason=reservation.reason,
        items=tuple(_price(line) for line in reservation.lines if line.name is not None),
        refused_item_ids=tuple(line.item_id for line in reservation.lines if line.refused),
    )


def _price(line: DecidedLine) -> ItemPrice:
    return ItemPrice(item_id=line.item_id, name=line.name or "", unit_price=line.unit_price or Decimal(0))
