"""A refresh token may have several successors for a moment, so a family may have several live tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SCHEMA = "identity"
_TABLE = "refresh_tokens"
_RULE = op.f("ck_refresh_tokens_successors_of_used")


def upgrade() -> None:
    op.drop_index("uq_refresh_tokens_family_live", _TABLE, schema=_SCHEMA)
    op.add_column(
        _TABLE,
        sa.Column("successors", sa.SmallInteger(), nullable=False, server_default="0"),
        schema=_SCHEMA,
    )
    op.execute("UPDATE identity.refresh_tokens SET successors = 1 WHERE used_at IS NOT NULL")
    op.create_check_constraint(
        _RULE, _TABLE, "successors = 0 OR successors > 0 AND used_at IS NOT NULL", schema=_SCHEMA
    )
    op.execute(
        f"COMMENT ON CONSTRAINT {_RULE} ON identity.refresh_tokens IS 'what has given a token was used'"
    )


def downgrade() -> None:
    """Fails while a family has two live tokens: the earlier version could not hold them apart."""
    op.drop_constraint(_RULE, _TABLE, schema=_SCHEMA)
    op.drop_column(_TABLE, "successors", schema=_SCHEMA)
    op.create_index(
        "uq_refresh_tokens_family_live",
        _TABLE,
        ["family"],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text("used_at IS NULL"),
    )
