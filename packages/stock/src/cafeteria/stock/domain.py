"""An order gets all its lines or none, no item is oversold, and a decision on an order is final.

A batch is decided in memory, in arrival order, from the items and the earlier decisions that were read.
Nothing here reads a clock or a table: the caller passes the time and the rows in, and writes the result,
`changes`.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from unicodedata import normalize
from uuid import UUID

import msgspec

from cafeteria.chassis.runtime.visible_text import UnusableNameError, as_name
from cafeteria.contracts import stock
from cafeteria.contracts.stock import Decision, TransactionKind
from cafeteria.contracts.values import MAX_LINES_PER_ORDER, RejectionReason
from cafeteria.stock.errors import ImpossibleItem, ImpossibleOrder

CENT = Decimal("0.01")

MAX_QUANTITY = 1_000_000_000
"""Portions of one item. The column holds twice as many, so that releases fit above a full store."""


class StoredItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item as it was read; a different `version` means that it has changed since."""

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
    """One operator request under an Idempotency-Key. The stored key contains the operator and the route."""

    key: str
    request_hash: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The response to an operator, to the byte. `is_replay`: an earlier request with the same key stored it."""

    status: int
    body: bytes
    is_replay: bool = False


class DecidedLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decided order line, with the price at that time; an unknown item has neither name nor price."""

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
    """The rows that one commit writes. `items` hold the new values, one version above the ones that were read."""

    decided: tuple[Reservation, ...]
    released: tuple[UUID, ...]
    ledger: tuple[LedgerEntry, ...]
    items: tuple[StoredItem, ...]

    def __bool__(self) -> bool:
        return bool(self.decided or self.released)


class Shelf:
    """The state of one batch: the items that it names, the earlier decisions, and the ones it has made so far."""

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
        """Return the decision on this order: the existing one, or a new one."""
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
        self._record_decision(decided)
        if reason is None:
            self._transfer(decided, kind=TransactionKind.DEDUCT)
        return decided

    def release(self, order_id: UUID) -> Reservation:
        """Give back the order's portions, once; an order never seen is refused for ever."""
        known = self._reservations.get(order_id)
        if known is None:
            return self._record_decision(_tombstone(order_id, now=self._now))
        if known.released_at is not None:
            return known
        released = msgspec.structs.replace(known, released_at=self._now)
        if known.decision is Decision.RESERVED:
            self._transfer(known, kind=TransactionKind.RELEASE)
        if order_id in self._decided:
            return self._record_decision(released)
        self._released.append(order_id)
        self._reservations[order_id] = released
        return released

    @property
    def changes(self) -> Changes:
        """The rows to write, in the order in which they are locked: by item, by order."""
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

    def _record_decision(self, reservation: Reservation) -> Reservation:
        self._reservations[reservation.order_id] = reservation
        self._decided[reservation.order_id] = reservation
        return reservation

    def _transfer(self, reservation: Reservation, *, kind: TransactionKind) -> None:
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
    """Return the refusal of an order that is released before it is decided: its request may still arrive."""
    return Reservation(
        order_id=order_id,
        decision=Decision.REJECTED,
        reason=RejectionReason.EXPIRED,
        lines=(),
        decided_at=now,
        released_at=now,
    )


def check_order(order: stock.ReserveStock) -> stock.ReserveStock:
    """Return the order. Raises ImpossibleOrder for one that breaks the gateway's own rules for an order."""
    if not 1 <= len(order.lines) <= MAX_LINES_PER_ORDER:
        raise ImpossibleOrder(f"An order has 1 to {MAX_LINES_PER_ORDER} lines.")
    if len({line.item_id for line in order.lines}) < len(order.lines):
        raise ImpossibleOrder("An item may appear in one line only.")
    return order


def operation_of(route: str, *asked: object, actor: str, key: str | None) -> Operation | None:
    """Return the operation that the key identifies, or None without a key.

    `asked` holds the parsed values of the request, so that its notation does not matter. Neither an operator's id
    nor a route's name contains a colon, so the keys of two operators never collide.
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
    """Return the price to the cent. Every text that the contract's pattern accepts is a price."""
    return Decimal(text).quantize(CENT)


def read_name(text: stock.ItemName) -> str:
    """Return the name in its stored form. Raises ImpossibleItem for a name that nobody could read."""
    try:
        return as_name(text)
    except UnusableNameError as fault:
        raise ImpossibleItem(
            "The name cannot be kept, and nothing was changed. Type it again without what `errors` names.",
            errors=(f"body.name: {fault}",),
        ) from None


def read_search(text: str) -> str:
    """Return the text in the form in which names are stored: NFC, with single spaces inside and none at the ends."""
    return " ".join(normalize("NFC", text).split())
