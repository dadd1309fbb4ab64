"""Change password: a signed-in person replaces the own password, which ends all their other sessions.

The old password is tried within the limits of a known device, and a wrong one is in the login audit: a copied token gives
three guesses a minute, and nobody who guesses elsewhere keeps a person from changing the password.
"""

from datetime import datetime
from time import perf_counter

import msgspec

from cafeteria.chassis.auth.tokens import Principal
from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability.security_log import log_security_event
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import ServiceError
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.contracts import identity
from cafeteria.contracts.identity import LoginOutcome
from cafeteria.identity.domain import Account, Attempt, LoginClient, LoginLimits, retry_after_s
from cafeteria.identity.errors import AccountGone, LoginLimit, TooManyAttempts, WrongPassword
from cafeteria.identity.fair_queue import Share
from cafeteria.identity.password_hashing import Match, PasswordHashing
from cafeteria.identity.password_rules import PasswordRules
from cafeteria.identity.repository import log_in, passwords
from cafeteria.identity.repository.sessions import end_sessions
from cafeteria.identity.revocations import Revocations


class _Try(msgspec.Struct, frozen=True, kw_only=True):
    """A try of the old password. `started_s` is a reading of the performance counter."""

    student_id: str
    client: LoginClient
    at: datetime
    started_s: float


class ChangePassword:
    def __init__(
        self,
        database: Database,
        password_hashing: PasswordHashing,
        password_rules: PasswordRules,
        revocations: Revocations,
        *,
        limits: LoginLimits,
    ) -> None:
        self._database = database
        self._password_hashing = password_hashing
        self._password_rules = password_rules
        self._revocations = revocations
        self._limits = limits

    async def __call__(
        self, request: identity.ChangePassword, *, principal: Principal, client: str | None
    ) -> None:
        """Replace the password; only the principal's session goes on. `client` is the client's address, or None.

        Raises UnusablePassword and Overloaded before anything was counted, then TooManyAttempts, WrongPassword,
        and AccountGone for an account that was disabled.
        """
        self._password_rules.check_change(
            old=request.old_password, new=request.new_password, student_id=principal.subject
        )
        tried = _Try(
            student_id=principal.subject,
            client=LoginClient(address=client, device=principal.session),
            at=now(),
            started_s=perf_counter(),
        )
        async with self._password_hashing.slot(Share(name=principal.subject, is_known=True)):
            account = await self._checked_account(tried, request.old_password)
            new_hash = await self._password_hashing.hash(request.new_password)
        await self._replace(account, new_hash, principal)
        log_security_event(SecurityEvent.PASSWORD_CHANGED, subject=principal.subject)

    async def _checked_account(self, tried: _Try, password: str) -> Account:
        """Return the account if the password is right."""
        async with self._database.statement() as connection:
            counted = await log_in.count_attempt(
                connection,
                student_id=tried.student_id,
                client=tried.client,
                limits=self._limits,
                now=tried.at,
            )
        if counted.refused_by is not None:
            raise await self._refuse(tried, counted, LoginOutcome.THROTTLED)
        if counted.account is None or counted.account.is_disabled:
            raise AccountGone
        match = await self._password_hashing.match(password, counted.account.password_hash)
        if match is Match.NO:
            raise await self._refuse(tried, counted, LoginOutcome.WRONG_PASSWORD)
        return counted.account

    async def _refuse(
        self, tried: _Try, counted: log_in.CountedAttempt, outcome: LoginOutcome
    ) -> ServiceError:
        attempt = Attempt(
            attempt_id=new_id(),
            user_id=counted.user_id,
            student_id=tried.student_id,
            client_ip=tried.client.address,
            attempted_at=tried.at,
            response_time_ms=round((perf_counter() - tried.started_s) * 1000),
            outcome=outcome,
        )
        at = now()
        async with self._database.statement() as connection:
            window = await log_in.record_attempt(
                connection,
                attempt,
                counted,
                limits=self._limits,
                now=at,
                is_audited=outcome is not LoginOutcome.THROTTLED,
            )
        if window is None:
            return WrongPassword()
        limit = counted.refused_by or LoginLimit.DEVICE
        return TooManyAttempts(limit, retry_after_s=retry_after_s(window, self._limits, now=at))

    async def _replace(self, account: Account, new_hash: str, principal: Principal) -> None:
        async with self._database.transaction() as connection:
            at = now()
            if not await passwords.replace_password(
                connection, user_id=account.user_id, old=account.password_hash, new=new_hash, now=at
            ):
                raise WrongPassword
            await end_sessions(connection, user_id=account.user_id, now=at, keep=principal.session)
        self._revocations.announce()
