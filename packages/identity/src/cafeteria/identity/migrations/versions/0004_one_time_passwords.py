"""A password may be a one-time password, and the column of the hashes has the type TEXT."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SCHEMA = "identity"
_RULE = op.f("ck_login_attempts_outcome_known")
_OUTCOMES = ("succeeded", "wrong_password", "unknown_user", "disabled", "throttled")
_NEW_OUTCOMES = ("password_change_required", "one_time_password_expired")


def upgrade() -> None:
    op.alter_column("users", "password_hash", type_=sa.Text(), schema=_SCHEMA)
    op.add_column(
        "users", sa.Column("one_time_until", sa.TIMESTAMP(timezone=True), nullable=True), schema=_SCHEMA
    )
    _allow(*_OUTCOMES, *_NEW_OUTCOMES)


def downgrade() -> None:
    """Fails while the audit has an attempt with a one-time password."""
    _allow(*_OUTCOMES)
    op.drop_column("users", "one_time_until", schema=_SCHEMA)
    op.alter_column("users", "password_hash", type_=sa.String(), schema=_SCHEMA)


def _allow(*outcomes: str) -> None:
    known = ", ".join(f"'{outcome}'" for outcome in outcomes)
    op.drop_constraint(_RULE, "login_attempts", schema=_SCHEMA)
    op.create_check_constraint(_RULE, "login_attempts", f"outcome IN ({known})", schema=_SCHEMA)
    op.execute(f"COMMENT ON CONSTRAINT {_RULE} ON identity.login_attempts IS 'what became of the attempt'")
