"""Orders, their idempotency keys, the outbox and the dead letters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from cafeteria.chassis.database.migrations import grant_tables

revision = "0001"
down_revision = None

INSTANT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    _create_orders()
    _create_idempotency_keys()
    _create_outbox()
    _create_dead_letters()
    grant_tables(op, schema="gateway", role="gateway")


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("student_id", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("total", sa.Numeric(13, 2)),
        sa.Column("version", sa.SmallInteger, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("next_ask_at", INSTANT),
        sa.Column("next_check_at", INSTANT),
        sa.Column("rejection_reason", sa.String),
        sa.Column("status_times", JSONB, nullable=False),
        sa.Column("kitchen_seen_at", INSTANT),
        sa.Column("notified_version", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("released_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        *_order_checks(),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index("ix_orders_student_id_id", "orders", ["student_id", "id"])
    op.create_index(
        "ix_orders_next_ask_at",
        "orders",
        ["next_ask_at"],
        postgresql_where=sa.text("next_ask_at IS NOT NULL"),
    )
    op.create_index(
        "ix_orders_next_check_at",
        "orders",
        ["next_check_at"],
        postgresql_where=sa.text("next_check_at IS NOT NULL"),
    )


def _order_checks() -> tuple[sa.CheckConstraint, ...]:
    return (
        sa.CheckConstraint(
            "status IN ('PENDING', 'STOCK_VERIFIED', 'REJECTED', 'CANCELLED', "
            "'IN_KITCHEN', 'READY', 'COLLECTED')",
            name="ck_orders_status_known",
        ),
        sa.CheckConstraint(
            "version = CASE status WHEN 'PENDING' THEN 1 WHEN 'STOCK_VERIFIED' THEN 2 "
            "WHEN 'REJECTED' THEN 2 WHEN 'CANCELLED' THEN 3 WHEN 'IN_KITCHEN' THEN 3 "
            "WHEN 'READY' THEN 4 WHEN 'COLLECTED' THEN 5 END",
            name="ck_orders_version_of_status",
        ),
        sa.CheckConstraint(
            "status <> 'PENDING' OR next_ask_at IS NOT NULL", name="ck_orders_pending_is_asked_again"
        ),
        sa.CheckConstraint(
            "status <> 'CANCELLED' OR released_at IS NOT NULL OR next_ask_at IS NOT NULL",
            name="ck_orders_cancelled_is_released",
        ),
        sa.CheckConstraint(
            "(status = 'REJECTED') = (rejection_reason IS NOT NULL)", name="ck_orders_rejected_has_reason"
        ),
        sa.CheckConstraint(
            "rejection_reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED')",
            name="ck_orders_rejection_reason_known",
        ),
        sa.CheckConstraint(
            "released_at IS NULL OR status = 'CANCELLED'", name="ck_orders_only_cancelled_released"
        ),
        sa.CheckConstraint("total >= 0", name="ck_orders_total_not_negative"),
    )


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("response_snapshot", JSONB, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("request_hash", sa.LargeBinary, nullable=False),
        sa.Column("response_status", sa.SmallInteger),
        sa.Column("response_body", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_idempotency_keys"),
        sa.ForeignKeyConstraint(["order_id"], ["gateway.orders.id"], name="fk_idempotency_keys_order_id"),
        sa.UniqueConstraint("key", name="uq_idempotency_keys_key"),
        sa.UniqueConstraint("order_id", name="uq_idempotency_keys_order_id"),
        sa.CheckConstraint(
            "(response_status IS NULL) = (response_body IS NULL)",
            name="ck_idempotency_keys_answer_whole_or_absent",
        ),
        sa.CheckConstraint("response_status IN (201, 409)", name="ck_idempotency_keys_answer_final"),
        postgresql_with={"fillfactor": 50},
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
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_order_id", "outbox", ["order_id"])


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
