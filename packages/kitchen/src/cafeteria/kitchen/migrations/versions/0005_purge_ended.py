"""Add the one way to delete tickets that ended long ago, and their history."""

from alembic import op

from cafeteria.chassis.database.migrations import create_purge, drop_purge

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "kitchen"

_DELETION = """
WITH old AS (
    SELECT id FROM kitchen_orders
    WHERE id < id_before AND status IN ('COLLECTED', 'CANCELLED', 'READY') AND confirm_at IS NULL
    ORDER BY id LIMIT at_most FOR UPDATE SKIP LOCKED
), history AS (
    DELETE FROM order_status_history WHERE kitchen_order_id IN (SELECT id FROM old)
), gone AS (
    DELETE FROM kitchen_orders WHERE id IN (SELECT id FROM old) RETURNING id
)
SELECT count(*) INTO deleted FROM gone;"""


def upgrade() -> None:
    create_purge(op, schema=SCHEMA, deletion=_DELETION)


def downgrade() -> None:
    drop_purge(op, schema=SCHEMA)
