"""Decide reservations and releases in batches: each order once, and only committed decisions are answered.

A batch is read, decided in memory, and written by one statement that checks the versions it read. When another
replica was faster, the statement writes nothing and the batch is decided again on fresh reads; the first try leaves
nothing behind, in the tables or in an answer.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.observability.metrics import counter
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import ServiceError, Unavailable
from cafeteria.contracts.stock import MAX_ORDERS, Decision, ReleaseStock, ReserveStock
from cafeteria.contracts.values import RejectionReason
from cafeteria.stock.domain import Changes, Reservation, Shelf, StoredItem, check_order
from cafeteria.stock.errors import ImpossibleOrder, TooManyOrders
from cafeteria.stock.repository import decide_reservations
from cafeteria.stock.repository.decide_reservations import BatchMoved, Named

Command = ReserveStock | ReleaseStock

BATCH_LIMIT = 512
"""Orders and releases in one commit: four requests of MAX_ORDERS orders each."""
LOCKED_TRIES = 32
"""How many tries after a conflict lock the rows before reading them. Two replicas on one hot item then take turns,
which costs a third less CPU than a conflict in every other batch."""
MAX_TRIES = 20
"""Tries for one batch. Under locks only two replicas that decide the same new order at once can conflict: never that
many times in a row."""

CONFLICTS = counter("stock_batch_conflicts_total", "Batches redone because another replica was faster")
DECISIONS = counter("stock_decisions_total", "New decisions on orders", "decision", "reason")
RELEASES = counter("stock_releases_total", "Decisions that were released")

logger = get_logger()


class DecideReservations:
    """Decides orders and releases in the order of their arrival.

    `on_changed` is called with the changed items after each commit.
    """

    def __init__(self, database: Database, *, on_changed: Callable[[Sequence[StoredItem]], None]) -> None:
        self._database = database
        self._on_changed = on_changed
        self.batcher = GroupCommit[Command, Reservation](
            "stock-decisions", self._commit, batch_limit=BATCH_LIMIT
        )
        self._locked_tries = 0
        self._conflicts = CONFLICTS.metric()
        self._releases = RELEASES.metric()
        self._decisions = {
            reason: DECISIONS.labels(Decision.REJECTED if reason else Decision.RESERVED, reason or "")
            for reason in (None, *RejectionReason)
        }

    async def reserve(self, orders: Sequence[ReserveStock]) -> list[Reservation]:
        """Decide the orders in one commit, and return the decisions in the order of the request.

        An order that cannot be decided is logged and left out. Raises TooManyOrders, and Unavailable when that is
        the reason why no order could be decided.
        """
        if len(orders) > MAX_ORDERS:
            raise TooManyOrders(f"A request names at most {MAX_ORDERS} orders; this one names {len(orders)}.")
        possible = list(_possible(orders))
        outcomes = await asyncio.gather(*self.batcher.enqueue_all(possible), return_exceptions=True)
        decided = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        for order, outcome in zip(possible, outcomes, strict=True):
            if isinstance(outcome, Unavailable) and not decided:
                raise outcome
            if isinstance(outcome, BaseException):
                _log_undecided(order, outcome)
        return decided

    async def release(self, order: ReleaseStock) -> datetime:
        """Release the order, and return when it was first released."""
        released_at = (await self.batcher.submit(order)).released_at
        if released_at is None:
            raise AssertionError("A release left its order unreleased.")
        return released_at

    async def _commit(self, commands: list[Command]) -> Sequence[Reservation]:
        """Return the committed decision on each command's order. Safe to repeat.

        Raises Unavailable after MAX_TRIES conflicts with other replicas; then nothing is written.
        """
        named = _named(commands)
        for _ in range(MAX_TRIES):
            try:
                return await self._try(commands, named=named, lock=self._is_locking())
            except BatchMoved:
                self._conflicts.inc()
                self._locked_tries = LOCKED_TRIES
        raise Unavailable("Too many replicas decide on the same orders; nothing was changed.")

    def _is_locking(self) -> bool:
        self._locked_tries = max(0, self._locked_tries - 1)
        return self._locked_tries > 0

    async def _try(self, commands: list[Command], *, named: Named, lock: bool) -> Sequence[Reservation]:
        async with self._database.transaction() if lock else self._database.statement() as connection:
            if lock:
                await decide_reservations.lock_items(connection, named)
            items, reservations = await decide_reservations.read_shelf(connection, named)
            moment = now()
            shelf = Shelf(items=items, reservations=reservations, now=moment)
            outcomes = [_decide(shelf, command) for command in commands]
            changes = shelf.changes
            if changes:
                await decide_reservations.write_changes(connection, changes, now=moment)
        self._report(changes)
        return outcomes

    def _report(self, changes: Changes) -> None:
        self._on_changed(changes.items)
        for each in changes.decided:
            self._decisions[each.reason].inc()
        self._releases.inc(len(changes.released))


def _named(commands: list[Command]) -> Named:
    """Return the ids that the commands name, sorted, so that every batch touches rows in the same order."""
    orders = [command for command in commands if isinstance(command, ReserveStock)]
    return Named(
        order_ids=sorted({command.order_id for command in commands}),
        item_ids=sorted({line.item_id for order in orders for line in order.lines}),
        released_ids=sorted({each.order_id for each in commands if isinstance(each, ReleaseStock)}),
    )


def _decide(shelf: Shelf, command: Command) -> Reservation:
    if isinstance(command, ReserveStock):
        return shelf.reserve(command)
    return shelf.release(command.order_id)


def _possible(orders: Sequence[ReserveStock]) -> Iterator[ReserveStock]:
    """Yield the orders that a batch may hold, and log the others: an impossible order would fail the whole batch."""
    for order in orders:
        try:
            yield check_order(order)
        except ImpossibleOrder as error:
            _log_undecided(order, error)


def _log_undecided(order: ReserveStock, error: BaseException) -> None:
    is_foreseen = isinstance(error, ServiceError)
    logger.error(
        "order_not_decided",
        order_id=str(order.order_id),
        traceparent=order.traceparent,
        reason=str(error) or repr(error),
        exc_info=None if is_foreseen else error,
    )
