"""Identity's messages: public keys and ended sessions over the bus, and its HTTP bodies."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from cafeteria.contracts.values import Instant, Role, StudentId

MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 256
MAX_NAME_LENGTH = 120

Password = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PASSWORD_LENGTH)]
NewPassword = Annotated[str, msgspec.Meta(min_length=MIN_PASSWORD_LENGTH, max_length=MAX_PASSWORD_LENGTH)]
FullName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        description="Characters are code points as sent; at least one is visible, and none turns the direction.",
    ),
]


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a session: its access tokens are refused. After `until` all of them have expired, on any clock."""

    session: UUID
    until: Instant


class SessionsRevoked(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the live revocations, or all. They are repeated, so a receiver that missed one gets it a second later."""

    revocations: tuple[Revocation, ...]


class FetchJwks(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the current keys that verify tokens, and for live revocations: the first ones, or those after `after`."""

    after: Revocation | None = None


class Jwk(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key (RFC 8037)."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = "EdDSA"
    use: str = "sig"


class Jwks(msgspec.Struct, frozen=True, kw_only=True):
    keys: tuple[Jwk, ...]


class JwksAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """The current keys, and a part of the live revocations: those after the last one come with the next request."""

    keys: tuple[Jwk, ...]
    revocations: tuple[Revocation, ...] = ()


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to sign in. `new_password` replaces the password, as a one-time password must be.

    With `cookie` the tokens come as cookies, too. If `tokens` is false, they come as cookies alone, and the answer is a Session.
    """

    student_id: StudentId
    password: Password
    cookie: bool = False
    tokens: bool = True
    new_password: NewPassword | msgspec.UnsetType = msgspec.UNSET


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for new tokens. Without `refresh_token` the cookie is used. `cookie` and `tokens`: as for a Login."""

    refresh_token: str | None = None
    cookie: bool = False
    tokens: bool = True


class Logout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to log out. Without `refresh_token` the cookie is used."""

    refresh_token: str | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """An access token and a refresh token. `expires_in` is in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name, no secret


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in by cookies that no script reads: no token is in it.

    The access token lives `expires_in` seconds; renew the session before.
    """

    student_id: str
    role: Role
    full_name: str | None
    expires_in: int


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A live session, with what its client sent at the login. `is_current`: the session of the request's access token.

    `last_used_at` is the login or the last refresh. The session ends at `expires_at`, which a refresh may put off.
    """

    id: UUID
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant
    is_current: bool
    client_ip: str | None
    user_agent: str | None


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """All live sessions of a person, the newest first; at most 100."""

    items: tuple[SessionInfo, ...]


class CreateStudent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    student_id: StudentId
    password: NewPassword
    full_name: FullName | None = None
    role: Role = Role.STUDENT


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    old_password: Password
    new_password: NewPassword


class ChangeStudent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of an account. Absent fields do not change; a name of null removes the name."""

    full_name: FullName | msgspec.UnsetType | None = msgspec.UNSET
    role: Role | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET


class OneTimePassword(msgspec.Struct, frozen=True, kw_only=True):
    """A password that signs in once, together with a new one, until `expires_at`."""

    one_time_password: str
    expires_at: Instant


class Student(msgspec.Struct, frozen=True, kw_only=True):
    """A person. `expires_in`: the seconds that the access token of the request lives, where it is this person's own."""

    student_id: str
    role: Role
    full_name: str | None
    expires_in: int | None = None


class StudentAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account, as operators see it. A disabled one cannot log in."""

    student_id: str
    role: Role
    full_name: str | None
    disabled: bool
    created_at: Instant


class Students(msgspec.Struct, frozen=True, kw_only=True):
    """A page of accounts of all roles, the newest first."""

    items: tuple[StudentAccount, ...]
    next_cursor: str | None


class LoginOutcome(StrEnum):
    """The outcome of a login attempt. Its client learns only whether it succeeded, or was throttled."""

    SUCCEEDED = "succeeded"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the name of an outcome, no secret
    UNKNOWN_USER = "unknown_user"
    DISABLED = "disabled"
    THROTTLED = "throttled"
    PASSWORD_CHANGE_REQUIRED = "password_change_required"  # noqa: S105 - the name of an outcome, no secret
    ONE_TIME_PASSWORD_EXPIRED = "one_time_password_expired"  # noqa: S105 - the same


class LoginAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the login audit, without the client's address."""

    attempted_at: Instant
    outcome: LoginOutcome
    response_time_ms: int


class LoginAttempts(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a student's login attempts, the newest first."""

    items: tuple[LoginAttempt, ...]
    next_cursor: str | None
