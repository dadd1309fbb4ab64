"""Log out: end the session of a refresh token."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability.security_log import log_security_event
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.identity.repository import refresh_tokens
from cafeteria.identity.revocations import Revocations
from cafeteria.identity.token_issuer import hash_refresh_token


class LogOut:
    def __init__(self, database: Database, revocations: Revocations) -> None:
        self._database = database
        self._revocations = revocations

    async def __call__(self, refresh_token: str) -> None:
        """End the token's session, its access tokens too. An unknown token, or one of an ended session, changes nothing."""
        token_hash = hash_refresh_token(refresh_token)
        async with self._database.statement() as connection:
            ended = await refresh_tokens.revoke_family_of(connection, token_hash, now=now())
        if ended is None:
            return
        session, student_id = ended
        self._revocations.announce()
        log_security_event(SecurityEvent.SESSION_ENDED, subject=student_id, session=session)
