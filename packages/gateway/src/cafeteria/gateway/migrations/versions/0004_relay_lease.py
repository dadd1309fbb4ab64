"""Give the relay a lease in this schema, where no other role can take it."""

from alembic import op

from cafeteria.chassis.database.migrations import create_relay_lease

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "gateway"


def upgrade() -> None:
    create_relay_lease(op, schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("relay_lease", schema=SCHEMA)
