"""Add tickets, their history, the outbox and the dead letters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from cafeteria.chassis.database.migrations import grant_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "kitchen"
INSTANT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    _create_kitchen_orders()
    _create_order_status_history()
    _create_outbox()
    _create_dead_letters()
    grant_tables(op, schema=SCHEMA, role=SCHEMA, insert_only=("order_status_history",))


def downgrade() -> None:
    for table in ("dead_letters", "outbox", "order_status_history", "kitchen_orders"):
        op.drop_table(table, schema=SCHEMA)


def _create_kitchen_orders() -> None:
    op.create_table(
        "kitchen_orders",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("student_id", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("version", sa.SmallInteger, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("status_times", JSONB, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("station", sa.SmallInteger),
        sa.Column("due_at", INSTANT),
        sa.Column("completed_at", INSTANT),
        sa.Column("collected_at", INSTANT),
        sa.Column("gateway_version", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("notified_version", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("confirm_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kitchen_orders")),
        *_kitchen_orders_rules(),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_kitchen_orders_status_id"), "kitchen_orders", ["status", "id"], schema=SCHEMA)
    op.create_index(
        op.f("uq_kitchen_orders_station"),
        "kitchen_orders",
        ["station"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("station IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_kitchen_orders_unconfirmed"),
        "kitchen_orders",
        ["confirm_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("confirm_at IS NOT NULL"),
    )


def _kitchen_orders_rules() -> tuple[sa.Constraint, ...]:
    return (
        sa.UniqueConstraint(
            "order_id",
            name=op.f("uq_kitchen_orders_order_id"),
            comment="work that arrives twice is cooked once",
        ),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'IN_KITCHEN', 'READY', 'COLLECTED', 'CANCELLED')",
            name=op.f("ck_kitchen_orders_status_known"),
        ),
        sa.CheckConstraint(
            "version = CASE status WHEN 'QUEUED' THEN 2 WHEN 'IN_KITCHEN' THEN 3 WHEN 'CANCELLED' THEN 3"
            " WHEN 'READY' THEN 4 WHEN 'COLLECTED' THEN 5 END",
            name=op.f("ck_kitchen_orders_version_of_status"),
            comment="receivers trust the version alone",
        ),
        sa.CheckConstraint(
            "(started_at IS NOT NULL) = (status IN ('IN_KITCHEN', 'READY', 'COLLECTED'))"
            " AND (completed_at IS NOT NULL) = (status IN ('READY', 'COLLECTED'))"
            " AND (collected_at IS NOT NULL) = (status = 'COLLECTED')"
            " AND (due_at IS NULL OR started_at IS NOT NULL)",
            name=op.f("ck_kitchen_orders_times_of_status"),
            comment="each time is that of a state entered",
        ),
        sa.CheckConstraint(
            "station IS NULL OR (status = 'IN_KITCHEN' AND station > 0 AND due_at IS NOT NULL)",
            name=op.f("ck_kitchen_orders_station_of_status"),
            comment="only what cooks holds a station, and it is due some time",
        ),
        sa.CheckConstraint(
            "version < 3 OR confirm_at IS NOT NULL"
            " OR (gateway_version >= version AND notified_version >= version)",
            name=op.f("ck_kitchen_orders_unconfirmed_is_watched"),
            comment="what a receiver may lack is asked about until it does not",
        ),
    )


def _create_order_status_history() -> None:
    op.create_table(
        "order_status_history",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kitchen_order_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_status_history")),
        sa.ForeignKeyConstraint(
            ["kitchen_order_id"],
            ["kitchen.kitchen_orders.id"],
            name=op.f("fk_order_status_history_kitchen_order_id"),
        ),
        sa.CheckConstraint(
            "status IN ('IN_KITCHEN', 'READY', 'COLLECTED', 'CANCELLED')",
            name=op.f("ck_order_status_history_status_known"),
            comment="QUEUED is internal and leaves no trace here",
        ),
        sa.UniqueConstraint(
            "kitchen_order_id",
            "status",
            name=op.f("uq_order_status_history_kitchen_order_id_status"),
            comment="no state is entered twice",
        ),
        schema=SCHEMA,
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.SmallInteger, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("type_name", sa.Text, nullable=False),
        sa.Column("message_id", sa.Uuid, nullable=False),
        sa.Column("traceparent", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_outbox_order_id"), "outbox", ["order_id"], schema=SCHEMA)


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("stored_at", INSTANT, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
        sa.UniqueConstraint(
            "stream", "sequence", "stored_at", name=op.f("uq_dead_letters_stream_sequence_stored_at")
        ),
        schema=SCHEMA,
    )
