"""The rules of signing in, of login limits, of sessions and refresh tokens: pure functions; the time is an argument."""

from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from re import compile as compile_pattern
from unicodedata import normalize
from uuid import UUID

import msgspec

from cafeteria.chassis.runtime.addresses import client_network
from cafeteria.chassis.runtime.visible_text import UnusableNameError, as_name
from cafeteria.contracts.identity import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH, LoginOutcome
from cafeteria.contracts.values import Role
from cafeteria.identity.errors import UnusableName

REFRESH_GRACE = timedelta(seconds=10)
"""A refresh token may be sent again for this time after its first use: by a second tab, or after a lost answer."""
MAX_SUCCESSORS = 20
"""Limit of the tokens that one refresh token gives within its grace: a browser may restore that many tabs at once."""

ONE_TIME_LIFETIME = timedelta(hours=24)
"""A password that an operator reads out or hands over is used the same day; a lost one ends the next."""
MAX_ADDED = 3
"""Characters that make no other password of a student id: guesses try an id with a year's end or a sign first."""
MAX_LIVE_SESSIONS = 100
"""Limit of a user's live sessions: the oldest ends at a login above it. A person has a few devices, a script many logins."""
MAX_USER_AGENT_LENGTH = 200
ACCESS_TOKEN_MARGIN = timedelta(seconds=60)
"""An access token counts as valid for this long after its end: verifiers allow 30 s, and their clocks may differ by as much."""
UNKNOWN_NETWORK = "unknown"
"""The network of all clients without an address."""

_STUDENT_ID = compile_pattern(r"[A-Za-z0-9-]{1,32}")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user with the data that a login or a refresh needs.

    With `one_time_until` the password is a one-time password, which ends at that time.
    """

    user_id: UUID
    student_id: str
    role: Role
    password_hash: str
    is_disabled: bool
    full_name: str | None = None
    one_time_until: datetime | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A user without secrets."""

    student_id: str
    role: Role
    full_name: str | None


class LoginLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The login attempts that one window allows. A window begins with its first attempt; a refused one does not count.

    A known device has `per_client` attempts of its own. From other devices each student id has `per_client` from one
    network and `per_student` from all, and a network has `failures_per_client` failed ones over all student ids.
    """

    per_client: int
    per_student: int
    failures_per_client: int
    window: timedelta


class LoginClient(msgspec.Struct, frozen=True, kw_only=True):
    """Where a login comes from. `address` is None without one, as behind a Unix socket.

    `user_agent` is its header as sent. `device` is the id that the device proves by a cookie for this student id;
    `refresh_token` is what its other cookie holds, unchecked.
    """

    address: str | None
    user_agent: str | None = None
    device: UUID | None = None
    refresh_token: str | None = None

    @property
    def network(self) -> str:
        """The part of the address that limits count."""
        return UNKNOWN_NETWORK if self.address is None else client_network(self.address)


class LoginWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The counted attempts that may refuse a login: of its sender, of its student id, and of that id from its network.

    The sender is a known device, or else the network with its failures. A known device has no other windows.
    """

    started_at: datetime | None
    attempts: int
    client_started_at: datetime | None
    client_attempts: int
    sender_started_at: datetime | None
    sender_attempts: int
    sender_limit: int


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """A session ends `lifetime` after its login, and earlier if it was not refreshed for `idle`."""

    lifetime: timedelta
    idle: timedelta


class RefreshVerdict(StrEnum):
    """The decision on a refresh token that a client sent; the first two give a new token."""

    ROTATE = "rotate"
    REPEAT = "repeat"
    REFUSE = "refuse"
    REFUSE_REPEAT = "refuse_repeat"
    REVOKE_FAMILY = "revoke_family"
    REVOKE_DISABLED = "revoke_disabled"


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A stored refresh token.

    `used_for` is the time from its first use to the beginning of the current request; None for an unused token.
    `successors` counts the tokens that it gave. `last_used_at` is the last refresh of its session.
    """

    token_id: UUID
    family: UUID
    account: Account
    expires_at: datetime
    last_used_at: datetime
    used_for: timedelta | None
    successors: int
    is_family_revoked: bool


class NewRefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A later refresh token of a session, as its hash; `access_expires_at` is the end of the access token beside it."""

    token_id: UUID
    family: UUID
    user_id: UUID
    token_hash: bytes
    created_at: datetime
    expires_at: datetime
    access_expires_at: datetime


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session and its first refresh token, whose id it has. `client_ip` and `user_agent` let a person recognise it."""

    session_id: UUID
    user_id: UUID
    password_hash: str
    token_hash: bytes
    created_at: datetime
    expires_at: datetime
    access_expires_at: datetime
    client_ip: str | None
    user_agent: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the login audit. `user_id` is None for an unknown id, `client_ip` is None without an address."""

    attempt_id: UUID
    user_id: UUID | None
    student_id: str
    client_ip: str | None
    attempted_at: datetime
    response_time_ms: int
    outcome: LoginOutcome


def is_student_id(text: str) -> bool:
    """Whether the text has the form of a student id."""
    return _STUDENT_ID.fullmatch(text) is not None


def read_name(text: str) -> str:
    """Return the name in the form that is stored. Raises UnusableName for an unreadable one."""
    try:
        return as_name(text)
    except UnusableNameError as fault:
        raise UnusableName(str(fault)) from None


def search_form(text: str) -> str:
    """Return a search text in the form of stored names: NFC, without spaces at its ends."""
    return normalize("NFC", text).strip()


def password_form(password: str) -> str:
    """Return the form that is hashed: keyboards and systems send the same letters as different code points."""
    return normalize("NFKC", password)


def has_usable_length(password: str) -> bool:
    """Whether a new password is long enough in the form that is hashed, and short enough to send in every form."""
    longest = normalize("NFD", password)
    return len(password_form(password)) >= MIN_PASSWORD_LENGTH and len(longest) <= MAX_PASSWORD_LENGTH


def is_common(password: str, common: frozenset[str]) -> bool:
    """Whether a password is one of `common`, in upper or lower case."""
    return password_form(password).casefold() in common


def is_nearly(password: str, student_id: str) -> bool:
    """Whether a password is the student id with at most MAX_ADDED more characters, in upper or lower case."""
    form = password_form(password).casefold()
    return student_id.casefold() in form and len(form) - len(student_id) <= MAX_ADDED


def judge_login(account: Account | None, *, password_matches: bool) -> LoginOutcome:
    """Judge the password before the account's state: only the owner may learn that the account is disabled."""
    if account is None:
        return LoginOutcome.UNKNOWN_USER
    if not password_matches:
        return LoginOutcome.WRONG_PASSWORD
    return LoginOutcome.DISABLED if account.is_disabled else LoginOutcome.SUCCEEDED


def judge_one_time(account: Account, *, is_replaced: bool, at: datetime) -> LoginOutcome:
    """Judge a right password, which may be a one-time password. `is_replaced`: the login brings a new one."""
    if account.one_time_until is None:
        return LoginOutcome.SUCCEEDED
    if account.one_time_until <= at:
        return LoginOutcome.ONE_TIME_PASSWORD_EXPIRED
    return LoginOutcome.SUCCEEDED if is_replaced else LoginOutcome.PASSWORD_CHANGE_REQUIRED


def retry_after_s(window: LoginWindow, limits: LoginLimits, *, now: datetime) -> int:
    """Return the whole seconds, at least one, after which the limits allow the next attempt."""
    counted = (
        (window.started_at, window.attempts, limits.per_student),
        (window.client_started_at, window.client_attempts, limits.per_client),
        (window.sender_started_at, window.sender_attempts, window.sender_limit),
    )
    ends = [start + limits.window for start, attempts, limit in counted if start and attempts >= limit]
    return max(1, ceil((max(ends, default=now) - now).total_seconds()))


def judge_refresh(token: RefreshToken | None, *, now: datetime, idle: timedelta) -> RefreshVerdict:
    """Judge a refresh token of a session that ends when it was not refreshed for `idle`.

    Within its grace a used token gives one more token of its family, MAX_SUCCESSORS in all. A use after the grace means
    that somebody copied the token, so the whole family ends. So it does for a disabled account, which may be enabled later.
    """
    if token is None or token.is_family_revoked:
        return RefreshVerdict.REFUSE
    if token.used_for is not None and token.used_for > REFRESH_GRACE:
        return RefreshVerdict.REVOKE_FAMILY
    if token.account.is_disabled:
        return RefreshVerdict.REVOKE_DISABLED
    if min(token.expires_at, token.last_used_at + idle) <= now:
        return RefreshVerdict.REFUSE
    if token.successors >= MAX_SUCCESSORS:
        return RefreshVerdict.REFUSE_REPEAT
    return RefreshVerdict.ROTATE if token.used_for is None else RefreshVerdict.REPEAT


def readable_user_agent(header: str | None) -> str | None:
    """Return the printable part of a User-Agent header, at most MAX_USER_AGENT_LENGTH characters; None if there is none."""
    printable = "".join(filter(str.isprintable, header or ""))[:MAX_USER_AGENT_LENGTH].strip()
    return printable or None
