"""Log that it was the kitchen that cancelled an order."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "notification"
NAME = "ck_notifications_reason_known"


def upgrade() -> None:
    _replace("reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED', 'KITCHEN')")


def downgrade() -> None:
    op.execute(f"UPDATE {SCHEMA}.notifications SET reason = NULL WHERE reason = 'KITCHEN'")  # noqa: S608 - a constant
    _replace("reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED')")


def _replace(condition: str) -> None:
    op.drop_constraint(op.f(NAME), "notifications", schema=SCHEMA)
    op.create_check_constraint(op.f(NAME), "notifications", condition, schema=SCHEMA)
