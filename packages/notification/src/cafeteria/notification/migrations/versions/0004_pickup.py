"""Log the number and the code with the statuses that tell them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "notification"


def upgrade() -> None:
    op.add_column("notifications", sa.Column("pickup_number", sa.SmallInteger), schema=SCHEMA)
    op.add_column("notifications", sa.Column("pickup_code", sa.String), schema=SCHEMA)
    op.create_check_constraint(
        op.f("ck_notifications_pickup_whole"),
        "notifications",
        "(pickup_number IS NULL) = (pickup_code IS NULL)",
        schema=SCHEMA,
    )
    op.execute(
        f"COMMENT ON CONSTRAINT ck_notifications_pickup_whole ON {SCHEMA}.notifications"
        " IS 'a meal is called up by its number and handed out by its code'"
    )


def downgrade() -> None:
    for column in ("pickup_code", "pickup_number"):
        op.drop_column("notifications", column, schema=SCHEMA)
