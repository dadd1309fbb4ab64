"""Leave JSON that no query reads into out of the planner's statistics."""

from alembic import op

from cafeteria.chassis.database.migrations import set_statistics

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "stock"
COLUMNS = {"reservations": ("lines",)}


def upgrade() -> None:
    set_statistics(op, schema=SCHEMA, columns=COLUMNS, target=0)


def downgrade() -> None:
    set_statistics(op, schema=SCHEMA, columns=COLUMNS, target=-1)
