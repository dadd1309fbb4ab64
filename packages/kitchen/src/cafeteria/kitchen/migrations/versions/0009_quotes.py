"""Keep the range that was told when a ticket arrived."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEMA = "kitchen"
TABLE = "kitchen_orders"
INSTANT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("quoted_from", INSTANT), schema=SCHEMA)
    op.add_column(TABLE, sa.Column("quoted_to", INSTANT), schema=SCHEMA)
    op.add_column(TABLE, sa.Column("quoted_at_once", sa.Boolean), schema=SCHEMA)
    op.create_check_constraint(
        op.f("ck_kitchen_orders_quote_is_a_range"),
        TABLE,
        "(quoted_from IS NULL) = (quoted_to IS NULL) AND (quoted_to IS NULL) = (quoted_at_once IS NULL)"
        " AND (quoted_from <= quoted_to OR quoted_from IS NULL)",
        schema=SCHEMA,
    )


def downgrade() -> None:
    for column in ("quoted_at_once", "quoted_to", "quoted_from"):
        op.drop_column(TABLE, column, schema=SCHEMA)
