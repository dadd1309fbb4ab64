"""The delivery log, the orders that are still open, the position counter and the dead letters."""

import sqlalchemy as sa
from alembic import op

from cafeteria.chassis.database.migrations import grant_tables

revision = "0001"
down_revision = None

INSTANT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    _create_notifications()
    _create_open_orders()
    _create_position_counter()
    _create_dead_letters()
    grant_tables(op, schema="notification", role="notification")


def downgrade() -> None:
    for table in ("dead_letters", "position_counter", "open_orders", "notifications"):
        op.drop_table(table)


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("student_id", sa.String, nullable=False),
        sa.Column("status_sent", sa.String, nullable=False),
        sa.Column("sent_at", INSTANT, nullable=False),
        sa.Column("version", sa.SmallInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("delivered_at", INSTANT),
        sa.Column("status_at", INSTANT, nullable=False),
        sa.Column("reason", sa.String),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint(
            "order_id",
            "version",
            name="uq_notifications_order_id_version",
            comment="a status is told once, however often it is heard",
        ),
        sa.UniqueConstraint(
            "position",
            name="uq_notifications_position",
            comment="one place each; serves: what must be pushed, by position",
        ),
        *_notification_checks(),
        # Each row is rewritten once, to mark its delivery: with room on its own page no index is touched.
        postgresql_with={"fillfactor": 50},
    )
    # Serves a student's resume (position > …), connect (backwards to the first old row) and history pages.
    op.create_index("ix_notifications_student_id_position", "notifications", ["student_id", "position"])


def _notification_checks() -> tuple[sa.CheckConstraint, ...]:
    return (
        sa.CheckConstraint(
            "status_sent IN ('PENDING', 'STOCK_VERIFIED', 'REJECTED', 'CANCELLED', 'IN_KITCHEN', 'READY', "
            "'COLLECTED')",
            name="ck_notifications_status_known",
        ),
        sa.CheckConstraint(
            "version = CASE status_sent WHEN 'PENDING' THEN 1 WHEN 'STOCK_VERIFIED' THEN 2 "
            "WHEN 'REJECTED' THEN 2 WHEN 'CANCELLED' THEN 3 WHEN 'IN_KITCHEN' THEN 3 "
            "WHEN 'READY' THEN 4 WHEN 'COLLECTED' THEN 5 END",
            name="ck_notifications_version_of_status",
        ),
        sa.CheckConstraint(
            "reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED')", name="ck_notifications_reason_known"
        ),
        sa.CheckConstraint(
            "position > 0", name="ck_notifications_position_positive", comment="0 stands for nothing seen yet"
        ),
    )


def _create_open_orders() -> None:
    op.create_table(
        "open_orders",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("student_id", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_open_orders"),
    )
    # Serves a new stream: which old orders of this student still wait for something?
    op.create_index("ix_open_orders_student_id", "open_orders", ["student_id"])


def _create_position_counter() -> None:
    op.create_table(
        "position_counter",
        sa.Column("id", sa.SmallInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("stream_epoch", sa.String, nullable=False),
        sa.Column("stream_sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_position_counter"),
        sa.CheckConstraint(
            "id = 1", name="ck_position_counter_one_row", comment="its lock puts the replicas in one line"
        ),
    )
    op.execute("INSERT INTO position_counter VALUES (1, 0, '', 0)")


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
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
        sa.UniqueConstraint(
            "stream", "sequence", "stored_at", name="uq_dead_letters_stream_sequence_stored_at"
        ),
    )
