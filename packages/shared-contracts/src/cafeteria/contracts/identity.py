"""Identity's messages: public keys over the bus, and its HTTP bodies."""

from typing import Annotated

import msgspec

from cafeteria.contracts.values import Role, StudentId

MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 256

Password = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PASSWORD_LENGTH)]
NewPassword = Annotated[str, msgspec.Meta(min_length=MIN_PASSWORD_LENGTH, max_length=MAX_PASSWORD_LENGTH)]
FullName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=120,
        description="Characters are code points as sent; at least one is visible, and none turns the direction.",
    ),
]


class AskJwks(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the current keys that verify tokens."""


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


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    student_id: StudentId
    password: Password
    cookie: bool = False


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for new tokens. Without `refresh_token` the cookie is used."""

    refresh_token: str | None = None
    cookie: bool = False


class Logout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to log out. Without `refresh_token` the cookie is used."""

    refresh_token: str | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """An access token and a refresh token. `expires_in` is in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name, no secret


class CreateStudent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    student_id: StudentId
    password: NewPassword
    full_name: FullName | None = None
    role: Role = Role.STUDENT


class Student(msgspec.Struct, frozen=True, kw_only=True):
    student_id: str
    role: Role
    full_name: str | None
