"""Store with a ticket why the kitchen refused it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = "kitchen"


def upgrade() -> None:
    op.add_column("kitchen_orders", sa.Column("refusal", sa.String), schema=SCHEMA)
    op.create_check_constraint(
        op.f("ck_kitchen_orders_refusal_of_status"),
        "kitchen_orders",
        "refusal IS NULL OR status = 'CANCELLED'",
        schema=SCHEMA,
    )
    op.execute(
        f"COMMENT ON CONSTRAINT ck_kitchen_orders_refusal_of_status ON {SCHEMA}.kitchen_orders"
        " IS 'the kitchen refuses what no cook has begun'"
    )
    op.create_check_constraint(
        op.f("ck_kitchen_orders_refusal_length"),
        "kitchen_orders",
        "length(refusal) BETWEEN 1 AND 200",
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_column("kitchen_orders", "refusal", schema=SCHEMA)
