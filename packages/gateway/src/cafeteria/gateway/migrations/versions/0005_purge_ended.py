"""Add the one way to delete orders that ended long ago, and their idempotency keys."""

from alembic import op

from cafeteria.chassis.database.migrations import create_purge, drop_purge

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "gateway"

_DELETION = """
WITH old AS (
    SELECT id FROM orders
    WHERE id < id_before AND status IN ('REJECTED', 'CANCELLED', 'COLLECTED', 'READY')
        AND next_ask_at IS NULL AND next_check_at IS NULL
    ORDER BY id LIMIT at_most FOR UPDATE SKIP LOCKED
), keys AS (
    DELETE FROM idempotency_keys WHERE order_id IN (SELECT id FROM old)
), gone AS (
    DELETE FROM orders WHERE id IN (SELECT id FROM old) RETURNING id
)
SELECT count(*) INTO deleted FROM gone;"""


def upgrade() -> None:
    create_purge(op, schema=SCHEMA, deletion=_DELETION)


def downgrade() -> None:
    drop_purge(op, schema=SCHEMA)
