"""Number the tickets, and make the key of their pickup codes.

Numbering writes the whole table again and locks it meanwhile: about a second for a hundred thousand tickets.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "kitchen"
KEY_BYTES = 32


def upgrade() -> None:
    op.add_column(
        "kitchen_orders", sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False), schema=SCHEMA
    )
    op.create_unique_constraint(op.f("uq_kitchen_orders_number"), "kitchen_orders", ["number"], schema=SCHEMA)
    op.execute(
        f"COMMENT ON CONSTRAINT uq_kitchen_orders_number ON {SCHEMA}.kitchen_orders"
        " IS 'pickup codes are different because numbers are'"
    )
    _create_key()


def downgrade() -> None:
    op.drop_table("pickup_key", schema=SCHEMA)
    op.drop_column("kitchen_orders", "number", schema=SCHEMA)


def _create_key() -> None:
    table = op.create_table(
        "pickup_key",
        sa.Column("id", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pickup_key")),
        sa.CheckConstraint(
            "id = 1",
            name=op.f("ck_pickup_key_one_row"),
            comment="two keys would give one code to two tickets",
        ),
        sa.CheckConstraint("octet_length(key) = 32", name=op.f("ck_pickup_key_key_length")),
        schema=SCHEMA,
    )
    op.bulk_insert(table, [{"id": 1, "key": secrets.token_bytes(KEY_BYTES)}])
