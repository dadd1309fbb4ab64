"""Add the one row that says whether orders are taken."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMA = "kitchen"
INSTANT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "intake",
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("reopens_at", INSTANT),
        sa.Column("delay_s", sa.Integer, nullable=False),
        sa.Column("changed_by", sa.String, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intake")),
        sa.CheckConstraint("id = 1", name=op.f("ck_intake_one_row"), comment="there is one kitchen"),
        sa.CheckConstraint("delay_s BETWEEN 0 AND 3600", name=op.f("ck_intake_delay_within_an_hour")),
        sa.CheckConstraint(
            "reopens_at IS NULL OR NOT is_open",
            name=op.f("ck_intake_only_a_pause_ends"),
            comment="what is open does not open",
        ),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("intake", schema=SCHEMA)
