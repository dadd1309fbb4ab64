"""Add the one way to delete old rows of the delivery log."""

from alembic import op

from cafeteria.chassis.database.migrations import create_purge, drop_purge

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "notification"

_DELETION = """
WITH old AS (
    SELECT id FROM notifications
    WHERE id < id_before
        AND NOT EXISTS (SELECT FROM open_orders WHERE open_orders.order_id = notifications.order_id)
    ORDER BY id LIMIT at_most FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM notifications WHERE id IN (SELECT id FROM old) RETURNING id
)
SELECT count(*) INTO deleted FROM gone;"""


def upgrade() -> None:
    create_purge(op, schema=SCHEMA, deletion=_DELETION)


def downgrade() -> None:
    drop_purge(op, schema=SCHEMA)
