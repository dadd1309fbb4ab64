"""Login windows of known devices and of networks; the audit's old rows can be deleted, and no others."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SCHEMA = "identity"
_WINDOWS = "sender_windows"
_ATTEMPTS = "login_attempts"

# The service's role may not delete from the audit. This function, run with its owner's rights, deletes only rows that
# are older than a week, whatever the caller asks for.
_PURGE = """
CREATE FUNCTION identity.purge_login_attempts(before timestamptz, batch integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = identity, pg_temp
BEGIN ATOMIC
    WITH purged AS (
        DELETE FROM identity.login_attempts WHERE id IN (
            SELECT id FROM identity.login_attempts
            WHERE attempted_at <= least(before, now() - interval '7 days')
            ORDER BY attempted_at LIMIT batch FOR UPDATE SKIP LOCKED)
        RETURNING id)
    SELECT count(*) FROM purged;
END
"""
_PURGE_NAME = "identity.purge_login_attempts(timestamptz, integer)"


def upgrade() -> None:
    _create_windows()
    op.create_index("ix_login_attempts_attempted_at", _ATTEMPTS, ["attempted_at"], schema=_SCHEMA)
    op.execute(_PURGE)
    op.execute(f"REVOKE ALL ON FUNCTION {_PURGE_NAME} FROM PUBLIC")


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {_PURGE_NAME}")
    op.drop_index("ix_login_attempts_attempted_at", _ATTEMPTS, schema=_SCHEMA)
    op.drop_table(_WINDOWS, schema=_SCHEMA)


def _create_windows() -> None:
    op.create_table(
        _WINDOWS,
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sender", name="pk_sender_windows"),
        sa.CheckConstraint(
            "sender ~ '^(device|network) '",
            name=op.f("ck_sender_windows_sender_form"),
            comment="one name for one sender",
        ),
        sa.CheckConstraint(
            "attempts >= 1",
            name=op.f("ck_sender_windows_attempts_counted"),
            comment="a window begins with its first attempt",
        ),
        schema=_SCHEMA,
    )
    op.create_index("ix_sender_windows_started_at", _WINDOWS, ["started_at"], schema=_SCHEMA)
