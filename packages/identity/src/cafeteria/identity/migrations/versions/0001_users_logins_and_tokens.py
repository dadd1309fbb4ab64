"""Users, the login audit, login windows and refresh tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from cafeteria.chassis.database.migrations import grant_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = "identity"
_STUDENT_ID_RULE = "student_id ~ '^[A-Za-z0-9-]{1,32}$'"
_INSTANT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    _create_users()
    _create_login_attempts()
    _index_login_attempts()
    _create_login_windows()
    _create_refresh_tokens()
    _index_refresh_tokens()
    grant_tables(op, schema=_SCHEMA, role="identity", insert_only=("login_attempts",))


def downgrade() -> None:
    for table in ("refresh_tokens", "login_windows", "login_attempts", "users"):
        op.drop_table(table, schema=_SCHEMA)


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.Column("full_name", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=False, server_default="student"),
        sa.Column("disabled_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("student_id", name="uq_users_student_id", comment="a student id is one person"),
        sa.CheckConstraint(
            _STUDENT_ID_RULE,
            name=op.f("ck_users_student_id_form"),
            comment="the id is the subject of a token",
        ),
        sa.CheckConstraint(
            "role IN ('student', 'kitchen', 'operator')",
            name=op.f("ck_users_role_known"),
            comment="a role is a right to act",
        ),
        schema=_SCHEMA,
    )


def _create_login_attempts() -> None:
    op.create_table(
        "login_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("attempted_at", _INSTANT, nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("response_time_ms", sa.Integer(), nullable=False),
        sa.Column("student_id", sa.String(), nullable=False),
        sa.Column("client_ip", postgresql.INET(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_attempts"),
        sa.ForeignKeyConstraint(["user_id"], ["identity.users.id"], name="fk_login_attempts_user_id"),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'wrong_password', 'unknown_user', 'disabled', 'throttled')",
            name=op.f("ck_login_attempts_outcome_known"),
            comment="what became of the attempt",
        ),
        sa.CheckConstraint(
            "success = (outcome = 'succeeded')",
            name=op.f("ck_login_attempts_success_is_outcome"),
            comment="one fact told twice cannot differ",
        ),
        sa.CheckConstraint(
            "response_time_ms >= 0",
            name=op.f("ck_login_attempts_response_time_not_negative"),
            comment="time runs forward",
        ),
        schema=_SCHEMA,
    )


def _index_login_attempts() -> None:
    for column in ("user_id", "student_id"):
        op.create_index(
            f"ix_login_attempts_{column}_attempted_at",
            "login_attempts",
            [column, "attempted_at"],
            schema=_SCHEMA,
        )


def _create_login_windows() -> None:
    op.create_table(
        "login_windows",
        sa.Column("student_id", sa.String(), nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_attempt_at", _INSTANT, nullable=False),
        sa.Column("clients", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("student_id", name="pk_login_windows"),
        sa.CheckConstraint(
            _STUDENT_ID_RULE,
            name=op.f("ck_login_windows_student_id_form"),
            comment="what could never sign in has no window",
        ),
        sa.CheckConstraint(
            "attempts >= 1",
            name=op.f("ck_login_windows_attempts_counted"),
            comment="a window begins with its first attempt",
        ),
        sa.CheckConstraint(
            "jsonb_typeof(clients) = 'object'",
            name=op.f("ck_login_windows_clients_object"),
            comment="counters by client address",
        ),
        schema=_SCHEMA,
    )
    op.create_index("ix_login_windows_last_attempt_at", "login_windows", ["last_attempt_at"], schema=_SCHEMA)


def _create_refresh_tokens() -> None:
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("family", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.Column("used_at", _INSTANT, nullable=True),
        sa.Column("revoked_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_refresh_tokens"),
        sa.ForeignKeyConstraint(["user_id"], ["identity.users.id"], name="fk_refresh_tokens_user_id"),
        sa.UniqueConstraint(
            "token_hash", name="uq_refresh_tokens_token_hash", comment="a token names one row"
        ),
        sa.CheckConstraint(
            "octet_length(token_hash) = 32",
            name=op.f("ck_refresh_tokens_token_hash_sha256"),
            comment="never the token itself",
        ),
        sa.CheckConstraint(
            "expires_at > created_at",
            name=op.f("ck_refresh_tokens_expires_later"),
            comment="every token ends by itself",
        ),
        sa.CheckConstraint(
            "revoked_at IS NULL OR id = family",
            name=op.f("ck_refresh_tokens_revoked_on_first"),
            comment="one row per family carries its end, and is its lock",
        ),
        schema=_SCHEMA,
    )


def _index_refresh_tokens() -> None:
    op.create_index("ix_refresh_tokens_expires_at", "refresh_tokens", ["expires_at"], schema=_SCHEMA)
    op.create_index(
        "uq_refresh_tokens_family_live",
        "refresh_tokens",
        ["family"],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text("used_at IS NULL"),
    )
