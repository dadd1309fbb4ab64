"""Refresh tokens: trade a refresh token for new tokens; a token that was copied ends its whole session.

The transaction commits before a refusal is raised: an exception would roll back the revocation.
"""

from datetime import datetime

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import bind, get_logger
from cafeteria.chassis.observability.security_log import log_security_event
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import ServiceError
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.identity.domain import (
    NewRefreshToken,
    RefreshToken,
    RefreshVerdict,
    SessionLimits,
    judge_refresh,
)
from cafeteria.identity.errors import RefreshRefused, RefreshRepeated
from cafeteria.identity.repository import refresh_tokens
from cafeteria.identity.revocations import Revocations
from cafeteria.identity.token_issuer import Session, TokenIssuer, hash_refresh_token, new_refresh_token

REFRESHES = metrics.counter(
    "cafeteria_identity_refreshes_total",
    "Refresh tokens that clients sent, by the decision on them",
    "verdict",
)

_GIVES_A_TOKEN = frozenset({RefreshVerdict.ROTATE, RefreshVerdict.REPEAT})
_ENDS_THE_SESSION = frozenset({RefreshVerdict.REVOKE_FAMILY, RefreshVerdict.REVOKE_DISABLED})

_log = get_logger()


class RefreshTokens:
    def __init__(
        self, database: Database, issuer: TokenIssuer, revocations: Revocations, *, limits: SessionLimits
    ) -> None:
        self._database = database
        self._issuer = issuer
        self._revocations = revocations
        self._limits = limits

    async def __call__(self, refresh_token: str | None) -> Session:
        """Return new tokens. Raises RefreshRefused, or RefreshRepeated for too many uses within the grace."""
        if not refresh_token:
            raise RefreshRefused
        at, successor = now(), new_refresh_token()
        stored, verdict = await self._judge(refresh_token, successor, at=at)
        REFRESHES.labels(verdict).inc()
        if stored is not None:
            bind(subject=stored.account.student_id)
        if verdict in _ENDS_THE_SESSION:
            self._revocations.announce()
        if stored is None or verdict not in _GIVES_A_TOKEN:
            raise _refusal(stored, verdict)
        if verdict is RefreshVerdict.REPEAT:
            _log.info("refresh_token_repeated", **_owner_of(stored))
        renewable_until = min(stored.expires_at, at + self._limits.idle)
        return self._issuer.issue(
            stored.account, successor, session=stored.family, now=at, renewable_until=renewable_until
        )

    async def _judge(
        self, refresh_token: str, successor: str, *, at: datetime
    ) -> tuple[RefreshToken | None, RefreshVerdict]:
        """Judge the token and store the consequence, in one transaction."""
        async with self._database.transaction() as connection:
            stored = await refresh_tokens.lock_refresh_token(connection, hash_refresh_token(refresh_token))
            verdict = judge_refresh(stored, now=at, idle=self._limits.idle)
            if stored is not None and verdict in _GIVES_A_TOKEN:
                new = self._successor_of(stored, hash_refresh_token(successor), at=at)
                await refresh_tokens.rotate_refresh_token(connection, used=stored.token_id, successor=new)
            elif stored is not None and verdict in _ENDS_THE_SESSION:
                await refresh_tokens.revoke_family(connection, stored.family, now=at)
        return stored, verdict

    def _successor_of(self, used: RefreshToken, token_hash: bytes, *, at: datetime) -> NewRefreshToken:
        """A successor expires with its family: renewing does not prolong a session."""
        return NewRefreshToken(
            token_id=new_id(),
            family=used.family,
            user_id=used.account.user_id,
            token_hash=token_hash,
            created_at=at,
            expires_at=used.expires_at,
            access_expires_at=self._issuer.expiry(at),
        )


def _refusal(stored: RefreshToken | None, verdict: RefreshVerdict) -> ServiceError:
    if stored is None:
        return RefreshRefused()
    if verdict is RefreshVerdict.REFUSE_REPEAT:
        return RefreshRepeated()
    if verdict is RefreshVerdict.REVOKE_FAMILY:
        log_security_event(
            SecurityEvent.REFRESH_TOKEN_REUSED,
            subject=stored.account.student_id,
            is_alarm=True,
            session=stored.family,
        )
    return RefreshRefused()


def _owner_of(stored: RefreshToken) -> dict[str, str]:
    return {"student_id": stored.account.student_id, "family": str(stored.family)}
