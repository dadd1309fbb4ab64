"""The tables of the kitchen. A ticket's status, version and times always agree; its history only grows.

A status that its two receivers have not yet confirmed always has a time of its next delivery check (`confirm_at`):
the database refuses a row whose event could be forgotten.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from cafeteria.chassis.database.database import schema_base
from cafeteria.chassis.messaging.dead_letters import dead_letters_table
from cafeteria.chassis.messaging.leased_outbox import relay_lease_table
from cafeteria.chassis.messaging.outbox import outbox_table


class Base(schema_base("kitchen")):  # type: ignore[misc]  # a computed base class is more than mypy reads
    __abstract__ = True


STATION_INDEX = "uq_kitchen_orders_station"
VERSION_OF_STATUS = (
    "version = CASE status WHEN 'QUEUED' THEN 2 WHEN 'IN_KITCHEN' THEN 3 WHEN 'CANCELLED' THEN 3"
    " WHEN 'READY' THEN 4 WHEN 'COLLECTED' THEN 5 END"
)
TIMES_OF_STATUS = (
    "(started_at IS NOT NULL) = (status IN ('IN_KITCHEN', 'READY', 'COLLECTED'))"
    " AND (completed_at IS NOT NULL) = (status IN ('READY', 'COLLECTED'))"
    " AND (collected_at IS NOT NULL) = (status = 'COLLECTED')"
    " AND (due_at IS NULL OR started_at IS NOT NULL)"
)
STATION_OF_STATUS = "station IS NULL OR (status = 'IN_KITCHEN' AND station > 0 AND due_at IS NOT NULL)"
QUOTE_IS_A_RANGE = (
    "(quoted_from IS NULL) = (quoted_to IS NULL) AND (quoted_to IS NULL) = (quoted_at_once IS NULL)"
    " AND (quoted_from <= quoted_to OR quoted_from IS NULL)"
)
UNCONFIRMED_IS_WATCHED = (
    "version < 3 OR confirm_at IS NOT NULL OR (gateway_version >= version AND notified_version >= version)"
)


class KitchenOrderRow(Base):
    """One ticket for each order that has arrived at the kitchen, or was cancelled before it arrived."""

    __tablename__ = "kitchen_orders"
    __table_args__ = (
        UniqueConstraint("order_id", comment="work that arrives twice is cooked once"),
        CheckConstraint(
            "refusal IS NULL OR status = 'CANCELLED'",
            name="refusal_of_status",
            comment="the kitchen refuses what no cook has begun",
        ),
        CheckConstraint("length(refusal) BETWEEN 1 AND 200", name="refusal_length"),
        UniqueConstraint("number", comment="pickup codes are different because numbers are"),
        CheckConstraint(
            "status IN ('QUEUED', 'IN_KITCHEN', 'READY', 'COLLECTED', 'CANCELLED')", name="status_known"
        ),
        CheckConstraint(
            VERSION_OF_STATUS, name="version_of_status", comment="receivers trust the version alone"
        ),
        CheckConstraint(
            TIMES_OF_STATUS, name="times_of_status", comment="each time is that of a state entered"
        ),
        CheckConstraint(
            STATION_OF_STATUS,
            name="station_of_status",
            comment="only what cooks holds a station, and it is due some time",
        ),
        CheckConstraint(
            UNCONFIRMED_IS_WATCHED,
            name="unconfirmed_is_watched",
            comment="what a receiver may lack is asked about until it does not",
        ),
        CheckConstraint(QUOTE_IS_A_RANGE, name="quote_is_a_range"),
        # The queue and the screens: tickets of one state in the order of arrival.
        Index(None, "status", "id"),
        # Two replicas cannot put two tickets on one station. The index holds only the tickets that cook now.
        Index(STATION_INDEX, "station", unique=True, postgresql_where=text("station IS NOT NULL")),
        Index("ix_kitchen_orders_unconfirmed", "confirm_at", postgresql_where=text("confirm_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]
    student_id: Mapped[str]
    status: Mapped[str]
    version: Mapped[int] = mapped_column(SmallInteger)
    lines: Mapped[list[Any]]
    status_times: Mapped[list[Any]]
    received_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    station: Mapped[int | None] = mapped_column(SmallInteger)
    due_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    collected_at: Mapped[datetime | None]
    gateway_version: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    notified_version: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    confirm_at: Mapped[datetime | None]
    traceparent: Mapped[str | None]
    number: Mapped[int] = mapped_column(BigInteger, Identity())
    refusal: Mapped[str | None]
    quoted_from: Mapped[datetime | None]
    quoted_to: Mapped[datetime | None]
    quoted_at_once: Mapped[bool | None]


class PickupKeyRow(Base):
    """The key of the pickup codes, one row. The migration makes it, so replicas agree; the service only reads it."""

    __tablename__ = "pickup_key"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row", comment="two keys would give one code to two tickets"),
        CheckConstraint("octet_length(key) = 32", name="key_length"),
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    key: Mapped[bytes]


class OrderStatusHistoryRow(Base):
    """The time at which a ticket entered each published state; written with the change itself, never changed."""

    __tablename__ = "order_status_history"
    __table_args__ = (
        CheckConstraint(
            "status IN ('IN_KITCHEN', 'READY', 'COLLECTED', 'CANCELLED')",
            name="status_known",
            comment="QUEUED is internal and leaves no trace here",
        ),
        UniqueConstraint("kitchen_order_id", "status", comment="no state is entered twice"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kitchen_order_id: Mapped[UUID] = mapped_column(ForeignKey(KitchenOrderRow.id))
    status: Mapped[str]
    changed_at: Mapped[datetime]


class IntakeRow(Base):
    """Whether orders are taken: one row, which the last change has written; none before the first change."""

    __tablename__ = "intake"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row", comment="there is one kitchen"),
        CheckConstraint("delay_s BETWEEN 0 AND 3600", name="delay_within_an_hour"),
        CheckConstraint(
            "reopens_at IS NULL OR NOT is_open",
            name="only_a_pause_ends",
            comment="what is open does not open",
        ),
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    is_open: Mapped[bool]
    reopens_at: Mapped[datetime | None]
    delay_s: Mapped[int]
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]


outbox = outbox_table(Base, key="order_id")
dead_letters = dead_letters_table(Base)
relay_lease = relay_lease_table(Base)
