"""Issue the two tokens of a session: a signed access token, and a refresh token that the database knows by its hash only."""

from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from uuid import UUID

import msgspec

from cafeteria.contracts import identity
from cafeteria.identity.domain import Account, Profile
from cafeteria.identity.signing_keys import SigningKeys

REFRESH_TOKEN_BYTES = 32  # nobody guesses 256 random bits, so an unsalted SHA-256 protects them


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens for the client, and whose they are. It can renew them for `renewable_s` more seconds."""

    session_id: UUID
    profile: Profile
    tokens: identity.Tokens
    renewable_s: int


class TokenIssuer:
    def __init__(self, signing_keys: SigningKeys, *, access_token_s: int) -> None:
        self._signing_keys = signing_keys
        self._access_token_s = access_token_s

    def expiry(self, now: datetime) -> datetime:
        """Return the end of an access token that begins `now`, a whole second."""
        return (now + timedelta(seconds=self._access_token_s)).replace(microsecond=0)

    def issue(
        self, account: Account, refresh_token: str, *, session: UUID, now: datetime, renewable_until: datetime
    ) -> Session:
        """Sign an access token of `session` that begins `now`, and return it with `refresh_token`."""
        access_token = self._signing_keys.sign_access_token(
            student_id=account.student_id,
            role=account.role,
            session=session,
            issued_at=now,
            expires_at=self.expiry(now),
        )
        return Session(
            session_id=session,
            profile=Profile(student_id=account.student_id, role=account.role, full_name=account.full_name),
            tokens=identity.Tokens(
                access_token=access_token, expires_in=self._access_token_s, refresh_token=refresh_token
            ),
            renewable_s=max(1, int((renewable_until - now).total_seconds())),
        )


def new_refresh_token() -> str:
    return token_urlsafe(REFRESH_TOKEN_BYTES)


def hash_refresh_token(token: str) -> bytes:
    """Return the form in which a refresh token is stored."""
    return sha256(token.encode()).digest()
