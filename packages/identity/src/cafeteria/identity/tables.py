"""The tables of identity. A row of the login audit never changes; passwords and tokens are stored as hashes only."""

from datetime import datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.mixins import AuditColumns
from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from cafeteria.chassis.database.database import schema_base


class Base(schema_base("identity")):  # type: ignore[misc]  # a computed base class is more than mypy reads
    __abstract__ = True


_STUDENT_ID_RULE = "student_id ~ '^[A-Za-z0-9-]{1,32}$'"


class UserRow(AuditColumns, Base):
    """An account: a student, or a person of the kitchen, or an operator. AuditColumns are created_at and updated_at.

    With `one_time_until` the password is a one-time password, which ends at that time.
    """

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("student_id", comment="a student id is one person"),
        CheckConstraint(_STUDENT_ID_RULE, name="student_id_form", comment="the id is the subject of a token"),
        CheckConstraint(
            "role IN ('student', 'kitchen', 'operator')",
            name="role_known",
            comment="a role is a right to act",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    student_id: Mapped[str]
    password_hash: Mapped[str] = mapped_column(Text)
    full_name: Mapped[str | None]
    role: Mapped[str] = mapped_column(server_default="student")
    disabled_at: Mapped[datetime | None]
    one_time_until: Mapped[datetime | None]


class LoginAttemptRow(Base):
    """The login audit; the service's role may insert, read, and delete old rows by `purge_login_attempts` alone."""

    __tablename__ = "login_attempts"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('succeeded', 'wrong_password', 'unknown_user', 'disabled', 'throttled',"
            " 'password_change_required', 'one_time_password_expired')",
            name="outcome_known",
            comment="what became of the attempt",
        ),
        CheckConstraint(
            "success = (outcome = 'succeeded')",
            name="success_is_outcome",
            comment="one fact told twice cannot differ",
        ),
        CheckConstraint(
            "response_time_ms >= 0", name="response_time_not_negative", comment="time runs forward"
        ),
        Index(None, "user_id", "attempted_at"),
        Index(None, "student_id", "attempted_at"),
        Index(None, "attempted_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("identity.users.id"))
    attempted_at: Mapped[datetime]
    success: Mapped[bool]
    response_time_ms: Mapped[int]
    student_id: Mapped[str]
    client_ip: Mapped[Any] = mapped_column(INET, nullable=True)
    outcome: Mapped[str]


class LoginWindowRow(Base):
    """The attempts for a student id from unknown devices, in one row: one statement judges both limits under one lock.

    `clients` maps a client's network to `{"since": <timestamp>, "attempts": <n>}`; the limit per student id bounds it.
    """

    __tablename__ = "login_windows"
    __table_args__ = (
        CheckConstraint(
            _STUDENT_ID_RULE, name="student_id_form", comment="what could never sign in has no window"
        ),
        CheckConstraint(
            "attempts >= 1", name="attempts_counted", comment="a window begins with its first attempt"
        ),
        CheckConstraint(
            "jsonb_typeof(clients) = 'object'", name="clients_object", comment="counters by client address"
        ),
        Index(None, "last_attempt_at"),
    )

    student_id: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    attempts: Mapped[int]
    last_attempt_at: Mapped[datetime]
    clients: Mapped[dict[str, Any]]


class SenderWindowRow(Base):
    """The attempts of a known device, or the failures of a network over all student ids, in the current window.

    `sender` is `device <id>` or `network <address>`. A row costs its sender at least one hash.
    """

    __tablename__ = "sender_windows"
    __table_args__ = (
        CheckConstraint(
            "sender ~ '^(device|network) '", name="sender_form", comment="one name for one sender"
        ),
        CheckConstraint(
            "attempts >= 1", name="attempts_counted", comment="a window begins with its first attempt"
        ),
        Index(None, "started_at"),
    )

    sender: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    attempts: Mapped[int]


class RefreshTokenRow(Base):
    """A refresh token. `family` is the id of its family's first token; `revoked_at` on that row ends the whole family.

    `used_at` is the first use; `successors` counts the tokens that this one gave. The row of the first token is also the
    session: `last_used_at` is its login or last refresh, and `access_expires_at` the end of its last access token.
    """

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        UniqueConstraint("token_hash", comment="a token names one row"),
        CheckConstraint(
            "octet_length(token_hash) = 32", name="token_hash_sha256", comment="never the token itself"
        ),
        CheckConstraint(
            "expires_at > created_at", name="expires_later", comment="every token ends by itself"
        ),
        CheckConstraint(
            "revoked_at IS NULL OR id = family",
            name="revoked_on_first",
            comment="one row per family carries its end, and is its lock",
        ),
        CheckConstraint(
            "successors = 0 OR successors > 0 AND used_at IS NOT NULL",
            name="successors_of_used",
            comment="what has given a token was used",
        ),
        CheckConstraint(
            "id = family OR num_nonnulls(last_used_at, access_expires_at, client_ip, user_agent) = 0",
            name="session_on_first",
            comment="one row per family is the session",
        ),
        CheckConstraint(
            "length(user_agent) <= 200",
            name="user_agent_short",
            comment="what a client says of itself has a bound",
        ),
        Index(None, "expires_at"),
        Index(None, "family"),
        Index(None, "user_id", "id", postgresql_where=text("id = family")),
        Index(None, "last_used_at", postgresql_where=text("id = family")),
        Index(None, "access_expires_at", "id", postgresql_where=text("revoked_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    family: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("identity.users.id"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    successors: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    last_used_at: Mapped[datetime | None]
    access_expires_at: Mapped[datetime | None]
    client_ip: Mapped[Any] = mapped_column(INET, nullable=True)
    user_agent: Mapped[str | None]
