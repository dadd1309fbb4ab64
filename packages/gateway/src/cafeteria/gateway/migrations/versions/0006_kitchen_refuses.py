"""Let a cancelled order say that the kitchen refused it."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "gateway"
TABLE = "orders"
HAS_REASON = "ck_orders_rejected_has_reason"
KNOWN = "ck_orders_rejection_reason_known"
CANCELS = "ck_orders_kitchen_cancels"


def upgrade() -> None:
    _replace(HAS_REASON, "(status = 'REJECTED') = (coalesce(rejection_reason, 'KITCHEN') <> 'KITCHEN')")
    _replace(KNOWN, "rejection_reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED', 'KITCHEN')")
    op.create_check_constraint(
        op.f(CANCELS), TABLE, "rejection_reason <> 'KITCHEN' OR status = 'CANCELLED'", schema=SCHEMA
    )
    op.execute(
        f"COMMENT ON CONSTRAINT {CANCELS} ON {SCHEMA}.{TABLE} IS 'stock rejects orders, the kitchen cancels them'"
    )


def downgrade() -> None:
    op.execute(f"UPDATE {SCHEMA}.{TABLE} SET rejection_reason = NULL WHERE rejection_reason = 'KITCHEN'")  # noqa: S608 - constants
    op.drop_constraint(op.f(CANCELS), TABLE, schema=SCHEMA)
    _replace(KNOWN, "rejection_reason IN ('OUT_OF_STOCK', 'UNKNOWN_ITEM', 'EXPIRED')")
    _replace(HAS_REASON, "(status = 'REJECTED') = (rejection_reason IS NOT NULL)")


def _replace(name: str, condition: str) -> None:
    op.drop_constraint(op.f(name), TABLE, schema=SCHEMA)
    op.create_check_constraint(op.f(name), TABLE, condition, schema=SCHEMA)
