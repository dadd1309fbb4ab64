"""The gateway's tables. Invalid rows cannot be stored: every rule about a row is a named constraint."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from cafeteria.chassis.database.database import schema_base
from cafeteria.chassis.messaging.dead_letters import dead_letters_table
from cafeteria.chassis.messaging.leased_outbox import relay_lease_table
from cafeteria.chassis.messaging.outbox import outbox_table
from cafeteria.contracts.subjects import GATEWAY


class Base(schema_base(GATEWAY)):  # type: ignore[misc]  # a computed base class is more than mypy reads
    """The base class of the gateway's tables."""

    __abstract__ = True


# A state and its version are one fact, so a projection cannot store one without the other.
_STATUS_HAS_ITS_VERSION = (
    "version = CASE status WHEN 'PENDING' THEN 1 WHEN 'STOCK_VERIFIED' THEN 2 WHEN 'REJECTED' THEN 2 "
    "WHEN 'CANCELLED' THEN 3 WHEN 'IN_KITCHEN' THEN 3 WHEN 'READY' THEN 4 WHEN 'COLLECTED' THEN 5 END"
)
_STATUS_IS_KNOWN = (
    "status IN ('PENDING', 'STOCK_VERIFIED', 'REJECTED', 'CANCELLED', 'IN_KITCHEN', 'READY', 'COLLECTED')"
)


class OrderRow(Base):
    """The order as the student sees it. The gateway owns it up to stock's decision, then projects the kitchen's states.

    `next_ask_at` is when stock is asked again (while PENDING, or CANCELLED and not released), `next_check_at` when
    the delivery to kitchen and notification is checked. NULL means that nothing is left to ask. Both, `created_at`,
    `expires_at` and `updated_at` come from the database's own clock. `traceparent` is that of the request that created
    the order; every message about the order carries it.
    """

    __tablename__ = "orders"
    __table_args__ = (
        sa.CheckConstraint(_STATUS_IS_KNOWN, name="status_known"),
        sa.CheckConstraint(_STATUS_HAS_ITS_VERSION, name="version_of_status"),
        # Without a time to ask again a PENDING order would wait for ever.
        sa.CheckConstraint("status <> 'PENDING' OR next_ask_at IS NOT NULL", name="pending_is_asked_again"),
        # Without it, or a time of release, the portions of a cancelled order would never come back.
        sa.CheckConstraint(
            "status <> 'CANCELLED' OR released_at IS NOT NULL OR next_ask_at IS NOT NULL",
            name="cancelled_is_released",
        ),
        sa.CheckConstraint(
            "(status = 'REJECTED') = (coalesce(rejection_reason, 'KITCHEN') <> 'KITCHEN')",
            name="rejected_has_reason",
        ),
        sa.CheckConstraint(
            "rejection_reason <> 'KITCHEN' OR status = 'CANCELLED'",
            name="kitchen_cancels",
            comment="stock rejects orders, the kitchen cancels them",
        ),
        sa.CheckConstraint(
            "rejection_reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED', 'KITCHEN')",
            name="rejection_reason_known",
        ),
        sa.CheckConstraint("released_at IS NULL OR status = 'CANCELLED'", name="only_cancelled_released"),
        sa.CheckConstraint("total >= 0", name="total_not_negative"),
        # GET /v1/orders: a student's orders, newest first. Ids are UUIDv7, so their order is that of creation.
        sa.Index("ix_orders_student_id_id", "student_id", "id"),
        # Periodic jobs read only orders with a request still to make, however many old ones there are.
        sa.Index("ix_orders_next_ask_at", "next_ask_at", postgresql_where=sa.text("next_ask_at IS NOT NULL")),
        sa.Index(
            "ix_orders_next_check_at", "next_check_at", postgresql_where=sa.text("next_check_at IS NOT NULL")
        ),
        # The kitchen's states change no indexed column: with free space on its page a new version touches no index.
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    student_id: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    lines: Mapped[list[Any]] = mapped_column(JSONB)
    # 20 lines of 20 portions at the highest price come to eleven digits before the point.
    total: Mapped[Decimal | None] = mapped_column(sa.Numeric(13, 2))
    version: Mapped[int] = mapped_column(sa.SmallInteger)
    expires_at: Mapped[datetime]
    traceparent: Mapped[str | None]
    next_ask_at: Mapped[datetime | None]
    next_check_at: Mapped[datetime | None]
    rejection_reason: Mapped[str | None]
    status_times: Mapped[dict[str, Any]] = mapped_column(JSONB)
    kitchen_seen_at: Mapped[datetime | None]
    notified_version: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    released_at: Mapped[datetime | None]


class IdempotencyKeyRow(Base):
    """`key` is `<student_id>:<the client's key>`; `response_body` is the answer to every repeat, to the byte."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        # One order for a key, and one key for an order: the guard against ordering twice.
        sa.UniqueConstraint("key"),
        sa.UniqueConstraint("order_id"),
        # Only final answers are stored, with status and body.
        sa.CheckConstraint(
            "(response_status IS NULL) = (response_body IS NULL)", name="answer_whole_or_absent"
        ),
        sa.CheckConstraint("response_status IN (201, 409)", name="answer_final"),
        # Each row is rewritten once, for its final answer: with free space on its page this touches no index.
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(sa.ForeignKey(OrderRow.id))
    key: Mapped[str]
    response_snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime]
    request_hash: Mapped[bytes]
    response_status: Mapped[int | None] = mapped_column(sa.SmallInteger)
    response_body: Mapped[bytes | None]


outbox = outbox_table(Base, key="order_id")
dead_letters = dead_letters_table(Base)
relay_lease = relay_lease_table(Base)
