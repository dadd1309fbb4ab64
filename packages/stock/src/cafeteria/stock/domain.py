"""All lines of an order or none, never more than there is, and one decision per order for ever.

A batch is decided in memory, in arrival order, on what was read of the items and of earlier decisions.
Nothing here reads a clock or a table: the moment and the rows are passed in, and what must be written
comes out as `changes`.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

import msgspec

from cafeteria.chassis.runtime.visible_text import UnusableNameError, as_name
from cafeteria.contracts import stock
from cafeteria.contracts.stock import Decision, TransactionKind
from cafeteria.contracts.values import MAX_LINES_PER_ORDER, RejectionReason
from cafeteria.stock.errors import ImpossibleItem, ImpossibleOrder

CENT = Decimal("0.01")

MAX_QUANTITY = 1_000_000_000
"""Portions of one item; the column holds twice as many, so releases have room above a full store."""


class StoredItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item as one read saw it; `version` tells whether it has moved since."""

    id: UUID
    name: str
    price: Decimal
    on_sale: bool
    quantity: int
    version: int

    @property
    def available(self) -> int:
        return self.quantity if self.on_sale else 0


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One request under a key. Keys are an operator's and a route's own: the stored one says whose it is."""

    key: str
    request_hash: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator gets, to the byte. `is_replay`: it was stored by an earlier request with the same key."""

    status: int
    body: bytes
    is_replay: bool = False


class DecidedLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line as it was decided, with the price of that moment; an unknown item has neither name nor price."""

    item_id: UUID
    quantity: int
    name: str | None = None
    unit_price: Decimal | None = None
    refused: bool = False


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """The decision on one order. Only `released_at` ever changes, once."""

    order_id: UUID
    decision: Decision
    reason: RejectionReason | None
    lines: tuple[DecidedLine, ...]
    decided_at: datetime
    released_at: datetime | None = None


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Portions that left the store for an order, or came back from it (negative)."""

    order_id: UUID
    item_id: UUID
    quantity_deducted: int
    kind: TransactionKind


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit has to write. `items` are as they will be, one version above what was read."""

    decided: tuple[Reservation, ...]
    released: tuple[UUID, ...]
    ledger: tuple[LedgerEntry, ...]
    items: tuple[StoredItem, ...]

    def __bool__(self) -> bool:
        return bool(self.decided or self.released)


class Shelf:
    """What one batch sees: the items that it names, what was decided before, and what it has decided so far."""

    def __init__(
        self, *, items: Iterable[StoredItem], reservations: Iterable[Reservation], now: datetime
    ) -> None:
        self._items = {item.id: item for item in items}
        self._left = {item.id: item.quantity for item in self._items.values()}
        self._reservations = {reservation.order_id: reservation for reservation in reservations}
        self._now = now
        self._touched: set[UUID] = set()
        self._decided: dict[UUID, Reservation] = {}
        self._released: list[UUID] = []
        self._ledger: list[LedgerEntry] = []

    def reserve(self, order: stock.ReserveStock) -> Reservation:
        """The decision on this order: the one that stands, or a new one."""
        known = self._reservations.get(order.order_id)
        if known is not None:
            return known
        reason, refused = self._judge(order)
        decided = Reservation(
            order_id=order.order_id,
            decision=Decision.RESERVED if reason is None else Decision.REJECTED,
            reason=reason,
            lines=self._priced(order, refused=refused),
            decided_at=self._now,
        )
        self._note_decided(decided)
        if reason is None:
            self._move(decided, kind=TransactionKind.DEDUCT)
        return decided

    def release(self, order_id: UUID) -> Reservation:
        """Give back what the order holds, once; an order never seen is refused for ever."""
        known = self._reservations.get(order_id)
        if known is None:
            return self._note_decided(_tombstone(order_id, now=self._now))
        if known.released_at is not None:
            return known
        released = msgspec.structs.replace(known, released_at=self._now)
        if known.decision is Decision.RESERVED:
            self._move(known, kind=TransactionKind.RELEASE)
        if order_id in self._decided:
            return self._note_decided(released)
        self._released.append(order_id)
        self._reservations[order_id] = released
        return released

    @property
    def changes(self) -> Changes:
        """In the order in which rows are locked: by item, by order."""
        return Changes(
            decided=tuple(self._decided[order_id] for order_id in sorted(self._decided)),
            released=tuple(sorted(self._released)),
            ledger=tuple(self._ledger),
            items=tuple(self._after(item_id) for item_id in sorted(self._touched)),
        )

    def _judge(self, order: stock.ReserveStock) -> tuple[RejectionReason | None, frozenset[UUID]]:
        if order.age_ms > stock.MAX_AGE_MS:
            return RejectionReason.EXPIRED, frozenset()
        unknown = frozenset(line.item_id for line in order.lines if line.item_id not in self._items)
        if unknown:
            return RejectionReason.UNKNOWN_ITEM, unknown
        short = frozenset(line.item_id for line in order.lines if not self._has(line.item_id, line.quantity))
        return (RejectionReason.OUT_OF_STOCK, short) if short else (None, short)

    def _has(self, item_id: UUID, quantity: int) -> bool:
        return self._items[item_id].on_sale and self._left[item_id] >= quantity

    def _priced(self, order: stock.ReserveStock, *, refused: frozenset[UUID]) -> tuple[DecidedLine, ...]:
        return tuple(
            DecidedLine(
                item_id=line.item_id,
                quantity=line.quantity,
                name=item.name if item else None,
                unit_price=item.price if item else None,
                refused=line.item_id in refused,
            )
            for line in order.lines
            for item in (self._items.get(line.item_id),)
        )

    def _note_decided(self, reservation: Reservation) -> Reservation:
        self._reservations[reservation.order_id] = reservation
        self._decided[reservation.order_id] = reservation
        return reservation

    def _move(self, reservation: Reservation, *, kind: TransactionKind) -> None:
        sign = 1 if kind is TransactionKind.DEDUCT else -1
        for line in reservation.lines:
            self._left[line.item_id] -= sign * line.quantity
            self._touched.add(line.item_id)
            self._ledger.append(
                LedgerEntry(
                    order_id=reservation.order_id,
                    item_id=line.item_id,
                    quantity_deducted=sign * line.quantity,
                    kind=kind,
                )
            )

    def _after(self, item_id: UUID) -> StoredItem:
        item = self._items[item_id]
        return msgspec.structs.replace(item, quantity=self._left[item_id], version=item.version + 1)


def _tombstone(order_id: UUID, *, now: datetime) -> Reservation:
    """Refuses an order that was released before it was ever asked for: its request may still arrive."""
    return Reservation(
        order_id=order_id,
        decision=Decision.REJECTED,
        reason=RejectionReason.EXPIRED,
        lines=(),
        decided_at=now,
        released_at=now,
    )


def check_order(order: stock.ReserveStock) -> stock.ReserveStock:
    """Raises ImpossibleOrder for what no gateway that keeps its own rules sends."""
    if not 1 <= len(order.lines) <= MAX_LINES_PER_ORDER:
        raise ImpossibleOrder(f"An order has 1 to {MAX_LINES_PER_ORDER} lines.")
    if len({line.item_id for line in order.lines}) < len(order.lines):
        raise ImpossibleOrder("An item may stand in one line only.")
    return order


def operation_of(route: str, *asked: object, actor: str, key: str | None) -> Operation | None:
    """`asked` is what the request comes to once it is read, so that it may be written otherwise. None without a key.

    Neither an operator's id nor a route's name holds a colon, so no two operators' keys can meet.
    """
    if key is None:
        return None
    return Operation(key=f"{actor}:{route}:{key}", request_hash=sha256(msgspec.json.encode(asked)).digest())


def item_on_the_wire(item: StoredItem) -> stock.Item:
    return stock.Item(
        id=item.id,
        name=item.name,
        price=item.price,
        on_sale=item.on_sale,
        quantity=item.quantity,
        version=item.version,
        available=item.available,
    )


def read_price(text: stock.Price) -> Decimal:
    """The price to the cent. What the contract's pattern takes is a price."""
    return Decimal(text).quantize(CENT)


def read_name(text: stock.ItemName) -> str:
    """The name as it is kept; raises ImpossibleItem for one that nobody could read."""
    try:
        return as_name(text)
    except UnusableNameError as fault:
        raise ImpossibleItem(
            "The name cannot be kept, and nothing was changed. Type it again without what `errors` names.",
            errors=(f"body.name: {fault}",),
        ) from None
