"""Who may come in, how often they may try, and what a refresh token is still worth: pure rules, time passed in."""

from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from re import compile as compile_pattern
from unicodedata import normalize
from uuid import UUID

import msgspec

from cafeteria.chassis.runtime.visible_text import UnusableNameError, as_name
from cafeteria.contracts.identity import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from cafeteria.contracts.values import Role
from cafeteria.identity.errors import UnusableName

REFRESH_GRACE = timedelta(seconds=10)
"""For so long after its first use a refresh token may come again: from a second tab, or after a lost answer."""
MAX_SUCCESSORS = 20
"""Tokens that one refresh token gives within its grace: a browser may restore that many tabs at once."""

_STUDENT_ID = compile_pattern(r"[A-Za-z0-9-]{1,32}")


class LoginOutcome(StrEnum):
    """What became of a login attempt, as the audit keeps it. To the caller all but the first look alike."""

    SUCCEEDED = "succeeded"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the name of an outcome, no secret
    UNKNOWN_USER = "unknown_user"
    DISABLED = "disabled"
    THROTTLED = "throttled"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user as a login or a refresh sees them."""

    user_id: UUID
    student_id: str
    role: Role
    password_hash: str
    is_disabled: bool


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A user as others may see them."""

    student_id: str
    role: Role
    full_name: str | None


class LoginLimits(msgspec.Struct, frozen=True, kw_only=True):
    """So many attempts in a window that runs from the first one, whatever becomes of them."""

    per_client: int
    per_student: int
    window: timedelta


class LoginWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What has been counted for a student id: from everywhere, and from the client that asks."""

    started_at: datetime
    attempts: int
    client_started_at: datetime | None
    client_attempts: int


class RefreshVerdict(StrEnum):
    """What a presented refresh token leads to; the first two give a new one."""

    ROTATE = "rotate"
    REPEAT = "repeat"
    REFUSE = "refuse"
    REFUSE_REPEAT = "refuse_repeat"
    REVOKE_FAMILY = "revoke_family"


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A stored refresh token.

    `used_for`: how long ago it was first used when the request that presents it now began; None for an unused one.
    `successors`: how many tokens were given for it.
    """

    token_id: UUID
    family: UUID
    account: Account
    expires_at: datetime
    used_for: timedelta | None
    successors: int
    is_family_revoked: bool


class NewRefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh token to store: its hash only. The first of a family gives the family its id."""

    token_id: UUID
    family: UUID
    user_id: UUID
    token_hash: bytes
    created_at: datetime
    expires_at: datetime


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the login audit. `user_id` is None for an unknown id, `client_ip` when there was no address."""

    attempt_id: UUID
    user_id: UUID | None
    student_id: str
    client_ip: str | None
    attempted_at: datetime
    response_time_ms: int
    outcome: LoginOutcome


def is_student_id(text: str) -> bool:
    """Stricter than the wire's pattern, whose `$` lets a final newline pass."""
    return _STUDENT_ID.fullmatch(text) is not None


def read_name(text: str) -> str:
    """The name as it is kept; raises UnusableName for one that nobody could read."""
    try:
        return as_name(text)
    except UnusableNameError as fault:
        raise UnusableName(str(fault)) from None


def password_form(password: str) -> str:
    """The form that is hashed. Keyboards and systems send the same letters as different code points."""
    return normalize("NFKC", password)


def is_usable_password(password: str) -> bool:
    """Long enough in the form that is hashed, and short enough for the wire however it will be typed."""
    longest = normalize("NFD", password)
    return len(password_form(password)) >= MIN_PASSWORD_LENGTH and len(longest) <= MAX_PASSWORD_LENGTH


def judge_login(account: Account | None, *, password_matches: bool) -> LoginOutcome:
    """The password comes before everything that is known of the account, so that only its owner can learn it."""
    if account is None:
        return LoginOutcome.UNKNOWN_USER
    if not password_matches:
        return LoginOutcome.WRONG_PASSWORD
    return LoginOutcome.DISABLED if account.is_disabled else LoginOutcome.SUCCEEDED


def retry_after_s(window: LoginWindow | None, limits: LoginLimits, *, now: datetime) -> int:
    """Whole seconds, at least one, after which the next attempt counts again."""
    if window is None:
        return 1
    ends = [now]
    if window.attempts >= limits.per_student:
        ends.append(window.started_at + limits.window)
    if window.client_started_at is not None and window.client_attempts >= limits.per_client:
        ends.append(window.client_started_at + limits.window)
    return max(1, ceil((max(ends) - now).total_seconds()))


def judge_refresh(token: RefreshToken | None, *, now: datetime) -> RefreshVerdict:
    """A used token that comes again after its grace was copied by somebody: the whole family ends.

    Within the grace it gives one more token of its family, as long as it has not given too many.
    """
    if token is None or token.is_family_revoked:
        return RefreshVerdict.REFUSE
    if token.used_for is not None and token.used_for > REFRESH_GRACE:
        return RefreshVerdict.REVOKE_FAMILY
    if token.expires_at <= now or token.account.is_disabled:
        return RefreshVerdict.REFUSE
    if token.successors >= MAX_SUCCESSORS:
        return RefreshVerdict.REFUSE_REPEAT
    return RefreshVerdict.ROTATE if token.used_for is None else RefreshVerdict.REPEAT
