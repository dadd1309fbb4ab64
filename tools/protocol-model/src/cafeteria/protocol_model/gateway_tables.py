"""The simulated gateway's rows, and every statement that changes them: each method is one commit.

They copy `cafeteria.gateway.repository`, condition by condition.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.stock import StockReleased
from cafeteria.contracts.subjects import GATEWAY, GATEWAY_STATUS, WORK_PLACED
from cafeteria.contracts.values import OrderStatus, OrderVersion
from cafeteria.gateway.answers import Answer, KeyedOrder, final_answer
from cafeteria.gateway.domain import (
    OWN_VERSION_LIMIT,
    Placing,
    StoredOrder,
    Verdict,
    as_received,
    cook_order,
    is_from_kitchen,
    own_status_event,
    pending_order,
)
from cafeteria.protocol_model.back_off import back_off
from cafeteria.protocol_model.consumer import DeadLetters
from cafeteria.protocol_model.outbox import Outbox, OutboxItem
from cafeteria.protocol_model.scheduler import Scheduler

ASK_AFTER = timedelta(seconds=2)
CHECK_AFTER = timedelta(seconds=5)
PURGEABLE = {OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.COLLECTED, OrderStatus.READY}


class OrderRow:
    """A row of `gateway.orders`."""

    def __init__(self, stored: StoredOrder) -> None:
        self.stored = stored
        self.updated_at = stored.created_at
        self.next_ask_at: datetime | None = stored.created_at + ASK_AFTER
        self.next_check_at: datetime | None = None
        self.kitchen_seen_at: datetime | None = None
        self.notified_version = 0
        self.released_at: datetime | None = None


class KeyRow:
    """A row of `gateway.idempotency_keys`."""

    def __init__(self, placing: Placing, at: datetime) -> None:
        self.key = placing.key
        self.made_at = at
        self.order_id = placing.order.id
        self.request_hash = placing.request_hash
        self.answer: Answer | None = None


class Received(NamedTuple):
    """The order that is stored under a request's key after receive."""

    found: KeyedOrder
    is_new: bool


class Unconfirmed(NamedTuple):
    """An order whose delivery to some receiver is not confirmed, as reconciliation reads it."""

    order_id: UUID
    status: OrderStatus
    is_known_to_kitchen: bool
    notified_version: int
    next_check_at: datetime


class Finding(NamedTuple):
    """What the receivers answered about one order."""

    order_id: UUID
    kitchen_knows: bool
    notified_version: int
    is_done: bool
    next_check_at: datetime


def status_event_of(order: StoredOrder) -> OutboxItem:
    return OutboxItem(order.id, GATEWAY_STATUS, own_status_event(order))


def cook_command_of(order: StoredOrder) -> OutboxItem:
    return OutboxItem(order.id, WORK_PLACED, cook_order(order))


def items_of(order: StoredOrder) -> list[OutboxItem]:
    """The messages that a decided order sends: its status, and the work for the kitchen if stock verified it."""
    is_verified = order.status is OrderStatus.STOCK_VERIFIED
    return [status_event_of(order), cook_command_of(order)] if is_verified else [status_event_of(order)]


class GatewayTables:
    """All rows of the gateway. `breaches` has a sentence for each row that a constraint should have refused."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.guards = scheduler.guards
        self.orders: dict[UUID, OrderRow] = {}
        self.keys: dict[str, KeyRow] = {}
        self.keys_of_orders: dict[UUID, KeyRow] = {}
        self.outbox = Outbox(GATEWAY)
        self.dead_letters = DeadLetters()
        self.breaches: list[str] = []

    # --- receive and settle --------------------------------------------------------------------------------

    def receive(self, placings: Sequence[Placing]) -> list[Received]:
        """Receive: insert each key first, then its order if the key was new. The clock is the database's."""
        return [self._receive(placing) for placing in placings]

    def _receive(self, placing: Placing) -> Received:
        found = self.find_by_key(placing.key)
        if found is not None and self.guards.idempotency_row:
            return Received(found, is_new=False)
        order = pending_order(placing.order, at=self.scheduler.now)
        row = KeyRow(placing, order.created_at)
        self.keys[placing.key] = self.keys_of_orders[order.id] = row
        self.orders[order.id] = OrderRow(as_received(order))
        return Received(self._keyed_order(row), is_new=True)

    def find_by_keys(self, keys: Sequence[str]) -> list[KeyedOrder | None]:
        return [self.find_by_key(key) for key in keys]

    def find_by_key(self, key: str) -> KeyedOrder | None:
        row = self.keys.get(key)
        return None if row is None else self._keyed_order(row)

    def _keyed_order(self, row: KeyRow) -> KeyedOrder:
        order = self.orders[row.order_id].stored
        return KeyedOrder(order=order, request_hash=row.request_hash, answer=row.answer)

    def settle(self, verdicts: Sequence[Verdict], *, with_outbox: bool = True) -> None:
        """Settle, for the whole batch: `WHERE status = 'PENDING'`."""
        for verdict in verdicts:
            self._settle(verdict, with_outbox=with_outbox)

    def _settle(self, verdict: Verdict, *, with_outbox: bool) -> None:
        """Skip an order that is no longer PENDING: it gets neither an answer nor a message."""
        order = verdict.order
        row = self.orders[order.id]
        if row.stored.status is not OrderStatus.PENDING and self.guards.pending_only:
            self.scheduler.note("order {.int} is {} already", order.id, row.stored.status)
            return
        row.stored = order
        row.updated_at = verdict.decided_at
        row.next_ask_at = None
        row.next_check_at = verdict.decided_at + CHECK_AFTER
        self.keys_of_orders[order.id].answer = final_answer(verdict)
        if with_outbox:
            self.outbox.add(items_of(order))
        self.scheduler.note("order {.int} is {}", order.id, order.status)

    def find_answer(self, order_id: UUID) -> Answer | None:
        return self.keys_of_orders[order_id].answer

    # --- project -------------------------------------------------------------------------------------------

    def find_order(self, order_id: UUID) -> StoredOrder:
        return self.orders[order_id].stored

    def project(self, events: Iterable[OrderStatusChanged]) -> None:
        """Project: apply the highest version of each order, where it is greater than the stored one."""
        highest: dict[UUID, OrderStatusChanged] = {}
        for event in events:
            earlier = highest.get(event.order_id)
            if is_from_kitchen(event) and (earlier is None or earlier.version < event.version):
                highest[event.order_id] = event
        for event in highest.values():
            self._follow(event, at=self.scheduler.now)

    def _follow(self, event: OrderStatusChanged, *, at: datetime) -> None:
        row = self.orders.get(event.order_id)
        if row is None or row.stored.status in {OrderStatus.REJECTED, OrderStatus.CANCELLED}:
            return
        if row.stored.version >= event.version and self.guards.newer_only:
            return
        times = {each.status: each.at for each in event.earlier}
        row.stored = replace(
            row.stored,
            status=event.status,
            version=event.version,
            rejection_reason=event.reason,
            status_times={**times, event.status: event.at, **row.stored.status_times},
        )
        row.updated_at = at
        row.kitchen_seen_at = row.kitchen_seen_at or at
        row.next_check_at = None
        row.next_ask_at = at if event.status is OrderStatus.CANCELLED else None
        self.scheduler.note("order {.int} is {}", event.order_id, event.status)

    def find_missing(self, asked: Iterable[OrderVersion]) -> tuple[OrderVersion, ...]:
        """Return those items whose order is absent here or stored in a lower version."""
        return tuple(
            each
            for each in asked
            if (row := self.orders.get(each.order_id)) is None or row.stored.version < each.version
        )

    # --- the jobs ----------------------------------------------------------------------------------------

    def claim_undecided(self, at: datetime) -> list[StoredOrder]:
        """Retry pending: claim overdue orders; the first claim also notifies the student that the order is PENDING."""
        due = []
        for row in self.orders.values():
            if (
                row.next_ask_at is None
                or row.next_ask_at > at
                or row.stored.status is not OrderStatus.PENDING
            ):
                continue
            row.next_ask_at = back_off(at, row.stored.created_at)
            if row.next_check_at is None and row.notified_version == 0:
                row.next_check_at = at + CHECK_AFTER
                self.outbox.add([status_event_of(row.stored)])
            due.append(row.stored)
        return due

    def claim_unreleased(self, at: datetime) -> list[UUID]:
        """Release cancelled: claim cancelled orders whose portions are not released yet."""
        due = []
        for order_id, row in self.orders.items():
            if row.next_ask_at is None or row.next_ask_at > at or row.released_at is not None:
                continue
            if row.stored.status is OrderStatus.CANCELLED:
                row.next_ask_at = back_off(at, row.updated_at)
                due.append(order_id)
        return due

    def mark_released(self, answer: StockReleased) -> None:
        row = self.orders[answer.order_id]
        if row.stored.status is OrderStatus.CANCELLED and row.released_at is None:
            row.released_at = answer.released_at
            row.next_ask_at = None

    def purge_keys(self, made_before: datetime) -> int:
        """Purge: delete old keys of settled orders. Keys outlive every schedule; the conformance test runs this alone."""
        purged = [
            row
            for row in self.keys.values()
            if row.made_at < made_before and self.orders[row.order_id].stored.status in PURGEABLE
        ]
        for row in purged:
            del self.keys[row.key], self.keys_of_orders[row.order_id]
        return len(purged)

    def find_unconfirmed(self, at: datetime) -> list[Unconfirmed]:
        """Reconcile: find overdue orders that have no message in the outbox already."""
        return [
            Unconfirmed(
                order_id,
                row.stored.status,
                row.kitchen_seen_at is not None,
                row.notified_version,
                row.next_check_at,
            )
            for order_id, row in self.orders.items()
            if row.next_check_at is not None and row.next_check_at <= at and not self.outbox.holds(order_id)
        ]

    def confirm(
        self,
        findings: Sequence[Finding],
        kitchen_lacks: frozenset[UUID],
        notification_lacks: frozenset[UUID],
        at: datetime,
    ) -> None:
        """Reconcile: store the findings and the messages that the receivers lack, in one commit."""
        for finding in findings:
            row = self.orders[finding.order_id]
            if not self._is_current(finding, row, at):
                continue
            if finding.kitchen_knows:
                row.kitchen_seen_at = row.kitchen_seen_at or at
            row.notified_version = max(row.notified_version, finding.notified_version)
            row.next_check_at = None if finding.is_done else back_off(at, row.stored.created_at)
            self._require_next_check(row)
            self._send_again(row.stored, kitchen_lacks, notification_lacks)

    def _is_current(self, finding: Finding, row: OrderRow, at: datetime) -> bool:
        """Check `WHERE next_check_at = due_at`: every change of an order also changes that time."""
        if self.guards.confirms_what_it_read:
            return row.next_check_at == finding.next_check_at
        return row.next_check_at is not None and row.next_check_at <= at

    def _send_again(
        self, order: StoredOrder, kitchen_lacks: frozenset[UUID], notification_lacks: frozenset[UUID]
    ) -> None:
        if order.id in notification_lacks:
            self.outbox.add([status_event_of(order)])
        if order.id in kitchen_lacks and order.status is OrderStatus.STOCK_VERIFIED:
            self.outbox.add([cook_command_of(order)])

    def _require_next_check(self, row: OrderRow) -> None:
        """Note a breach where a receiver may lack a message and no further check is planned."""
        order = row.stored
        must_cook = order.status is OrderStatus.STOCK_VERIFIED and row.kitchen_seen_at is None
        must_tell = row.notified_version < min(order.version, OWN_VERSION_LIMIT)
        if row.next_check_at is None and (must_cook or must_tell):
            self.breaches.append(
                f"order {order.id} is {order.status}, nobody knows whether its receivers have it, "
                "and nobody will ask them again"
            )
