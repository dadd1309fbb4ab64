"""Dead letters are items of messages."""

from alembic import op

from cafeteria.chassis.database.migrations import key_dead_letters_by_item, key_dead_letters_by_message

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "notification"


def upgrade() -> None:
    key_dead_letters_by_item(op, schema=SCHEMA)


def downgrade() -> None:
    key_dead_letters_by_message(op, schema=SCHEMA)
