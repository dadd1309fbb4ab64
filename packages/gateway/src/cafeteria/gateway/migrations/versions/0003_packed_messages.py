"""An order keeps its trace; messages are many items."""

import sqlalchemy as sa
from alembic import op

from cafeteria.chassis.database.migrations import (
    key_dead_letters_by_item,
    key_dead_letters_by_message,
    pack_outbox,
    unpack_outbox,
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "gateway"


def upgrade() -> None:
    op.add_column("orders", sa.Column("traceparent", sa.String), schema=SCHEMA)
    pack_outbox(op, schema=SCHEMA)
    key_dead_letters_by_item(op, schema=SCHEMA)


def downgrade() -> None:
    key_dead_letters_by_message(op, schema=SCHEMA)
    unpack_outbox(op, schema=SCHEMA)
    op.drop_column("orders", "traceparent", schema=SCHEMA)
