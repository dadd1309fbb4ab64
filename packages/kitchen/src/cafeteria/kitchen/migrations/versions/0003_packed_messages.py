"""Store each order's trace with its ticket, and many items in one message."""

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

SCHEMA = "kitchen"


def upgrade() -> None:
    op.add_column("kitchen_orders", sa.Column("traceparent", sa.String), schema=SCHEMA)
    pack_outbox(op, schema=SCHEMA)
    key_dead_letters_by_item(op, schema=SCHEMA)


def downgrade() -> None:
    key_dead_letters_by_message(op, schema=SCHEMA)
    unpack_outbox(op, schema=SCHEMA)
    op.drop_column("kitchen_orders", "traceparent", schema=SCHEMA)
