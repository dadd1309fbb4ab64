"""The tables of stock. `stock_transactions` and `restocks` only grow; a reservation changes once, by its release.

At every commit, per item: sum of restocks - quantity = sum of quantity_deducted. The decision on an order is
keyed by the order's own id, so a second one cannot exist.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from cafeteria.chassis.database.database import schema_base


class Base(schema_base("stock")):  # type: ignore[misc]  # a computed base class is more than mypy reads
    __abstract__ = True


class ItemRow(Base):
    """An item that can be ordered, and its price."""

    __tablename__ = "items"
    __table_args__ = (
        CheckConstraint("price >= 0", name="price_not_negative", comment="nothing pays to be taken"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[Decimal]
    created_at: Mapped[datetime]
    on_sale: Mapped[bool]

    inventory: Mapped["InventoryRow"] = relationship(lazy="raise")


class InventoryRow(Base):
    """How many portions are left. `version` rises with every change of the quantity and of the item."""

    __tablename__ = "inventory"
    __table_args__ = (
        CheckConstraint("quantity >= 0", name="quantity_not_negative", comment="no portion is sold twice"),
        UniqueConstraint("item_id", comment="one shelf per item"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    item_id: Mapped[UUID] = mapped_column(ForeignKey(ItemRow.id))
    quantity: Mapped[int]
    version: Mapped[int]
    updated_at: Mapped[datetime]


class ReservationRow(Base):
    """The decision on one order; `lines` holds all data of the answer, so that repeats get the same answer."""

    __tablename__ = "reservations"
    __table_args__ = (
        CheckConstraint("decision IN ('RESERVED', 'REJECTED')", name="decision_known"),
        CheckConstraint("reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED')", name="reason_known"),
        CheckConstraint(
            "(decision = 'REJECTED') = (reason IS NOT NULL)",
            name="reason_of_refusals",
            comment="a refusal says why, a reservation has nothing to say",
        ),
        CheckConstraint(
            "decision = 'REJECTED' OR jsonb_array_length(lines) > 0",
            name="lines_of_reservations",
            comment="without its lines a reservation could not be given back",
        ),
    )

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    decision: Mapped[str]
    reason: Mapped[str | None]
    lines: Mapped[list[Any]]
    decided_at: Mapped[datetime]
    released_at: Mapped[datetime | None]


class StockTransactionRow(Base):
    """The ledger: what each order took, and what came back."""

    __tablename__ = "stock_transactions"
    __table_args__ = (
        CheckConstraint("kind IN ('DEDUCT', 'RELEASE')", name="kind_known"),
        CheckConstraint(
            "quantity_deducted <> 0 AND (kind = 'DEDUCT') = (quantity_deducted > 0)",
            name="sign_of_kind",
            comment="a deduction is positive, a release negative",
        ),
        UniqueConstraint("order_id", "item_id", "kind", comment="taken once, given back once"),
        Index(None, "item_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]
    item_id: Mapped[UUID] = mapped_column(ForeignKey(ItemRow.id))
    quantity_deducted: Mapped[int]
    created_at: Mapped[datetime]
    kind: Mapped[str]


class RestockRow(Base):
    """Portions that came into the store, and the operator; an item's first row is its initial quantity."""

    __tablename__ = "restocks"
    __table_args__ = (
        CheckConstraint(
            "quantity >= 0", name="quantity_not_negative", comment="a restock takes nothing away"
        ),
        Index(None, "item_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    item_id: Mapped[UUID] = mapped_column(ForeignKey(ItemRow.id))
    quantity: Mapped[int]
    actor: Mapped[str]
    created_at: Mapped[datetime]


class OperationRow(Base):
    """An operator's request under a key, and the answer to repeat; written once, deleted after a day."""

    __tablename__ = "operations"
    __table_args__ = (
        CheckConstraint(
            "octet_length(request_hash) = 32",
            name="request_hash_sha256",
            comment="what was asked for, without keeping it",
        ),
        CheckConstraint(
            "response_status BETWEEN 200 AND 299",
            name="response_of_success",
            comment="what was refused changed nothing and may be tried again",
        ),
        Index(None, "created_at"),
    )

    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    response_status: Mapped[int] = mapped_column(SmallInteger)
    response_body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
