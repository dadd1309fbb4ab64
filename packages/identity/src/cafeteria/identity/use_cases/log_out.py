"""Log out: end the session of a refresh token."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.identity.repository import refresh_tokens
from cafeteria.identity.token_issuer import hash_refresh_token


class LogOut:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, refresh_token: str) -> None:
        """Revoke the token's family. An unknown token, or one whose session has ended, changes nothing."""
        async with self._database.statement() as connection:
            await refresh_tokens.revoke_family_of(connection, hash_refresh_token(refresh_token), now=now())
