"""Add the stored answers to operators' requests with an Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

from cafeteria.chassis.database.migrations import grant_tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response_status", sa.SmallInteger(), nullable=False),
        sa.Column("response_body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_operations"),
        sa.CheckConstraint(
            "octet_length(request_hash) = 32",
            name=op.f("ck_operations_request_hash_sha256"),
            comment="what was asked for, without keeping it",
        ),
        sa.CheckConstraint(
            "response_status BETWEEN 200 AND 299",
            name=op.f("ck_operations_response_of_success"),
            comment="what was refused changed nothing and may be tried again",
        ),
        schema="stock",
    )
    op.create_index("ix_operations_created_at", "operations", ["created_at"], schema="stock")
    grant_tables(op, schema="stock", role="stock")
    # an answer never changes; locking a row to delete it needs the right to change some column
    op.execute("REVOKE UPDATE ON stock.operations FROM stock")
    op.execute("GRANT UPDATE (created_at) ON stock.operations TO stock")


def downgrade() -> None:
    op.drop_table("operations", schema="stock")
