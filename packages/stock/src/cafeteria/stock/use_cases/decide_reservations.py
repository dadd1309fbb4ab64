"""Stock decides each order once, in batches, and answers only with committed decisions.

A batch is read, decided in memory, and written by one statement that checks the versions it read. When another
replica was faster, the statement writes nothing and the batch is decided again on fresh reads; the first try leaves
nothing behind, in the tables or in an answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.observability.metrics import counter
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import ServiceError, Unavailable
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.stock import (
    MAX_ORDERS,
    ChangeItem,
    CreateItem,
    Decision,
    ReleaseStock,
    ReserveStock,
    StockTransaction,
)
from cafeteria.contracts.values import RejectionReason
from cafeteria.stock import repository
from cafeteria.stock.domain import (
    MAX_QUANTITY,
    Answer,
    Changes,
    Operation,
    Reservation,
    Shelf,
    StoredItem,
    check_order,
    item_on_the_wire,
    operation_of,
    read_name,
    read_price,
)
from cafeteria.stock.errors import ImpossibleOrder, ItemNotFound, StoreFull, TooManyOrders
from cafeteria.stock.peers import Listeners
from cafeteria.stock.views import ChangedItems

Command = ReserveStock | ReleaseStock

BATCH_LIMIT = 512
"""Orders and releases in one commit: four requests of MAX_ORDERS orders each."""
LOCKED_TRIES = 32
"""How many tries after a conflict lock the rows before reading them. Two replicas on one hot item then take turns,
which costs a third less CPU than a conflict in every other batch."""
MAX_TRIES = 20
"""Tries for one batch. Under locks only two replicas that decide the same new order at once can conflict: never that
many times in a row."""

KEYS_LIVE = timedelta(hours=24)  # as long as the gateway's
PURGE_BATCH_ROWS = 1000  # short transactions
MAX_KEY_TRIES = 3
"""The next try finds the answer of the request that took the key, unless it is purged in between."""

CONFLICTS = counter("stock_batch_conflicts_total", "Batches redone because another replica was faster")
DECISIONS = counter("stock_decisions_total", "New decisions on orders", "decision", "reason")
RELEASES = counter("stock_releases_total", "Decisions that were released")

logger = get_logger()


class OrderBook:
    """Decides batches of orders and releases: every one goes through `commit`, in arrival order."""

    def __init__(self, database: Database, changed: ChangedItems) -> None:
        self._database = database
        self._changed = changed
        self._locked_tries = 0
        self._conflicts = CONFLICTS.metric()
        self._releases = RELEASES.metric()
        self._decisions = {
            reason: DECISIONS.labels(Decision.REJECTED if reason else Decision.RESERVED, reason or "")
            for reason in (None, *RejectionReason)
        }

    async def commit(self, commands: list[Command]) -> Sequence[Reservation]:
        """Return the committed decision on each command's order. Safe to repeat.

        Raises Unavailable after MAX_TRIES conflicts with other replicas; then nothing is written.
        """
        named = _named(commands)
        for _ in range(MAX_TRIES):
            try:
                return await self._try(commands, named=named, lock=self._is_locking())
            except repository.BatchMoved:
                self._conflicts.inc()
                self._locked_tries = LOCKED_TRIES
        raise Unavailable("Too many replicas decide on the same orders; nothing was changed.")

    def _is_locking(self) -> bool:
        self._locked_tries = max(0, self._locked_tries - 1)
        return self._locked_tries > 0

    async def _try(
        self, commands: list[Command], *, named: repository.Named, lock: bool
    ) -> Sequence[Reservation]:
        async with self._database.transaction() if lock else self._database.statement() as connection:
            if lock:
                await repository.lock_items(connection, named)
            items, reservations = await repository.read_shelf(connection, named)
            moment = now()
            shelf = Shelf(items=items, reservations=reservations, now=moment)
            outcomes = [_decide(shelf, command) for command in commands]
            changes = shelf.changes
            if changes:
                await repository.write_changes(connection, changes, now=moment)
        self._report(changes)
        return outcomes

    def _report(self, changes: Changes) -> None:
        self._changed.note(changes.items)
        for each in changes.decided:
            self._decisions[each.reason].inc()
        self._releases.inc(len(changes.released))


def _named(commands: list[Command]) -> repository.Named:
    """Return the ids that the commands name, sorted, so that every batch touches rows in the same order."""
    orders = [command for command in commands if isinstance(command, ReserveStock)]
    return repository.Named(
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


class StockService:
    """The use cases of stock, for HTTP and bus requests alike."""

    def __init__(
        self,
        *,
        database: Database,
        group: GroupCommit[Command, Reservation],
        changed: ChangedItems,
        listeners: Listeners,
    ) -> None:
        self._database = database
        self._group = group
        self._changed = changed
        self._listeners = listeners

    async def reserve(self, orders: Sequence[ReserveStock]) -> list[Reservation]:
        """Decide the orders in one commit, and return the decisions in the order of the request.

        An order that cannot be decided is logged and left out. Raises TooManyOrders, and Unavailable when that is
        the reason why no order could be decided.
        """
        if len(orders) > MAX_ORDERS:
            raise TooManyOrders(f"A request names at most {MAX_ORDERS} orders; this one names {len(orders)}.")
        possible = list(_possible(orders))
        outcomes = await asyncio.gather(*self._group.enqueue_all(possible), return_exceptions=True)
        decided = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        for order, outcome in zip(possible, outcomes, strict=True):
            if isinstance(outcome, Unavailable) and not decided:
                raise outcome
            if isinstance(outcome, BaseException):
                _log_undecided(order, outcome)
        return decided

    async def release(self, order: ReleaseStock) -> datetime:
        """Release the order, and return when it was first released."""
        released_at = (await self._group.submit(order)).released_at
        if released_at is None:
            raise AssertionError("A release left its order unreleased.")
        return released_at

    async def list_items(self) -> list[StoredItem]:
        async with self._database.statement() as connection:
            return await repository.list_items(connection)

    async def create_item(self, wanted: CreateItem, *, actor: str, key: str | None) -> Answer:
        item = StoredItem(
            id=new_id(),
            name=read_name(wanted.name),
            price=read_price(wanted.price),
            on_sale=True,
            quantity=wanted.quantity,
            version=1,
        )

        async def insert(connection: AsyncConnection) -> StoredItem:
            await repository.insert_item(connection, item, actor=actor, now=now())
            return item

        operation = operation_of("create", item.name, item.price, item.quantity, actor=actor, key=key)
        return await self._run_once(insert, operation, status=201)

    async def change_item(self, item_id: UUID, *, wanted: ChangeItem) -> StoredItem:
        """Change name, price or `on_sale` of an item. The quantity stays; the version always rises."""
        values: dict[str, Any] = {}
        if wanted.name is not UNSET:
            values["name"] = read_name(wanted.name)
        if wanted.price is not UNSET:
            values["price"] = read_price(wanted.price)
        if wanted.on_sale is not UNSET:
            values["on_sale"] = wanted.on_sale
        async with self._database.transaction() as connection:
            item = await repository.change_item(connection, item_id, values=values, now=now())
        if item is None:
            raise ItemNotFound(item_id)
        self._changed.note([item])
        return item

    async def restock(self, item_id: UUID, *, quantity: int, actor: str, key: str | None) -> Answer:
        async def add(connection: AsyncConnection) -> StoredItem:
            item = await repository.add_portions(
                connection, item_id, quantity=quantity, actor=actor, now=now()
            )
            if item is not None:
                return item
            if await repository.find_item(connection, item_id) is None:
                raise ItemNotFound(item_id)
            raise StoreFull(item_id, most=MAX_QUANTITY)

        operation = operation_of("restock", item_id, quantity, actor=actor, key=key)
        return await self._run_once(add, operation, status=200)

    async def _run_once(
        self,
        change: Callable[[AsyncConnection], Awaitable[StoredItem]],
        operation: Operation | None,
        *,
        status: int,
    ) -> Answer:
        """Commit the change together with its answer; a change that raises leaves its key unused."""
        for _ in range(MAX_KEY_TRIES):
            if operation and (stored := await self._find_answer(operation)):
                return stored
            try:
                async with self._database.transaction() as connection:
                    item = await change(connection)
                    answer = Answer(status=status, body=msgspec.json.encode(item_on_the_wire(item)))
                    if operation:
                        await repository.store_answer(connection, operation, answer, now=now())
            except repository.KeyTaken:
                continue
            self._changed.note([item])
            return answer
        raise Unavailable("Other requests with this Idempotency-Key are being answered; nothing was changed.")

    async def _find_answer(self, operation: Operation) -> Answer | None:
        async with self._database.statement() as connection:
            return await repository.find_answer(connection, operation)

    async def purge_operations(self) -> None:
        """Delete the operations that are older than KEYS_LIVE, a batch at a time."""
        before, deleted = now() - KEYS_LIVE, PURGE_BATCH_ROWS
        while deleted == PURGE_BATCH_ROWS:
            async with self._database.statement() as connection:
                deleted = await repository.delete_old_operations(
                    connection, before=before, limit=PURGE_BATCH_ROWS
                )

    async def list_transactions(
        self, item_id: UUID, *, before: UUID | None, limit: int
    ) -> tuple[list[StockTransaction], UUID | None]:
        """Return a page, and the id at which the next page begins, or None after the last page."""
        async with self._database.statement() as connection:
            found = await repository.list_transactions(connection, item_id, before=before, limit=limit + 1)
            if not found and await repository.find_item(connection, item_id) is None:
                raise ItemNotFound(item_id)
        page = found[:limit]
        following = page[-1][0] if len(found) > limit else None
        return [transaction for _, transaction in page], following

    @property
    def has_changes(self) -> bool:
        """Whether `tell_changes` has anything to publish."""
        return bool(self._changed)

    async def tell_everything(self) -> None:
        """Publish the availability of every item, from Postgres: gateways renew all their entries with it."""
        await self._listeners.tell(await self.list_items(), complete=True)

    async def tell_changes(self) -> None:
        """Publish the availability of the items that changed since the last call."""
        if items := self._changed.take():
            await self._listeners.tell(items, complete=False)
