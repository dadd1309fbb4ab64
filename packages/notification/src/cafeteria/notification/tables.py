"""The tables of notification. The log only grows; positions come from one counter row, locked until the commit.

So commit order is position order: a reader that has read up to a position has missed nothing before it.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cafeteria.chassis.database.database import schema_base
from cafeteria.chassis.messaging.dead_letters import dead_letters_table


class Base(schema_base("notification")):  # type: ignore[misc]  # a computed base class is more than mypy reads
    __abstract__ = True


class NotificationRow(Base):
    """One status of one order. `status_at` is when the order entered it, `sent_at` when it was logged here."""

    __tablename__ = "notifications"
    __table_args__ = (
        CheckConstraint(
            "status_sent IN ('PENDING', 'STOCK_VERIFIED', 'REJECTED', 'CANCELLED', 'IN_KITCHEN', 'READY', "
            "'COLLECTED')",
            name="status_known",
        ),
        CheckConstraint(
            "version = CASE status_sent WHEN 'PENDING' THEN 1 WHEN 'STOCK_VERIFIED' THEN 2 "
            "WHEN 'REJECTED' THEN 2 WHEN 'CANCELLED' THEN 3 WHEN 'IN_KITCHEN' THEN 3 "
            "WHEN 'READY' THEN 4 WHEN 'COLLECTED' THEN 5 END",
            name="version_of_status",
        ),
        CheckConstraint(
            "reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED', 'KITCHEN')", name="reason_known"
        ),
        CheckConstraint(
            "(pickup_number IS NULL) = (pickup_code IS NULL)",
            name="pickup_whole",
            comment="a meal is called up by its number and handed out by its code",
        ),
        CheckConstraint("position > 0", name="position_positive", comment="0 stands for nothing seen yet"),
        UniqueConstraint("order_id", "version", comment="a status is told once, however often it is heard"),
        UniqueConstraint("position", comment="one place each; serves: what must be pushed, by position"),
        # Serves a student's resume (position > …), connect (backwards to the first old row) and history pages.
        Index(None, "student_id", "position"),
        # Each row is rewritten once, to mark its delivery: with room on its own page no index is touched.
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]
    student_id: Mapped[str]
    status_sent: Mapped[str]
    sent_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(SmallInteger)
    position: Mapped[int] = mapped_column(BigInteger)
    delivered_at: Mapped[datetime | None]
    status_at: Mapped[datetime]
    reason: Mapped[str | None]
    pickup_number: Mapped[int | None] = mapped_column(SmallInteger)
    pickup_code: Mapped[str | None]


class OpenOrderRow(Base):
    """An order that is neither ended nor READY. There are few, so that a new stream finds old ones among millions."""

    __tablename__ = "open_orders"
    __table_args__ = (Index(None, "student_id"),)

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    student_id: Mapped[str]


class PositionCounterRow(Base):
    """The last assigned position, and the last sequence that was read of which stream."""

    __tablename__ = "position_counter"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row", comment="its lock puts the replicas in one line"),
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    stream_epoch: Mapped[str]
    stream_sequence: Mapped[int] = mapped_column(BigInteger)


dead_letters = dead_letters_table(Base)
