"""Log in: check a password within the limits, audit the attempt, and open a session.

A login is a statement, a hash, and a statement: the first counts the attempt and reads the account; the second writes
the audit row and, after a right password, the session. Only a new hash makes a transaction of it.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from time import perf_counter
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import bind, get_logger
from cafeteria.chassis.observability.security_log import log_security_event
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import ServiceError
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.contracts import identity
from cafeteria.contracts.identity import LoginOutcome
from cafeteria.identity.domain import (
    Account,
    Attempt,
    LoginClient,
    LoginLimits,
    NewSession,
    SessionLimits,
    is_student_id,
    judge_login,
    judge_one_time,
    readable_user_agent,
    retry_after_s,
)
from cafeteria.identity.errors import (
    AccountChanged,
    InvalidCredentials,
    InvalidStudentId,
    LoginLimit,
    OneTimePasswordExpired,
    PasswordChangeRequired,
    TooManyAttempts,
)
from cafeteria.identity.fair_queue import Share
from cafeteria.identity.password_hashing import Match, PasswordHashing
from cafeteria.identity.password_rules import PasswordRules
from cafeteria.identity.repository import log_in, passwords, sessions
from cafeteria.identity.revocations import Revocations
from cafeteria.identity.token_issuer import Session, TokenIssuer, hash_refresh_token, new_refresh_token

LOGINS = metrics.counter("cafeteria_identity_logins_total", "Login attempts by outcome", "outcome")
THROTTLED = metrics.counter(
    "cafeteria_identity_logins_throttled_total",
    "Throttled login attempts by the limit that refused them",
    "limit",
)

AUDITED_THROTTLED_LIMIT = 10_000
"""The ended windows are dropped above this number; every live one cost its owner hashed attempts."""

_REFUSALS: Mapping[LoginOutcome, type[InvalidCredentials | PasswordChangeRequired]] = {
    LoginOutcome.UNKNOWN_USER: InvalidCredentials,
    LoginOutcome.WRONG_PASSWORD: InvalidCredentials,
    LoginOutcome.DISABLED: InvalidCredentials,
    LoginOutcome.ONE_TIME_PASSWORD_EXPIRED: OneTimePasswordExpired,
    LoginOutcome.PASSWORD_CHANGE_REQUIRED: PasswordChangeRequired,
}

_log = get_logger()


class _LoginInProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One login attempt before its outcome. `started_s` is a reading of the performance counter."""

    student_id: str
    client: LoginClient
    at: datetime
    started_s: float

    @property
    def share(self) -> Share:
        """The share of the hashing queue: a known device waits with those of its student, others with their network."""
        is_known = self.client.device is not None
        return Share(name=self.student_id if is_known else self.client.network, is_known=is_known)

    def ended(self, outcome: LoginOutcome, user_id: UUID | None) -> Attempt:
        return Attempt(
            attempt_id=new_id(),
            user_id=user_id,
            student_id=self.student_id,
            client_ip=self.client.address,
            attempted_at=self.at,
            response_time_ms=round((perf_counter() - self.started_s) * 1000),
            outcome=outcome,
        )


class _AuditedThrottled:
    """Remembers which exhausted windows have an audit row for a throttled attempt. The memory may be lost.

    One row a window is enough: a throttled attempt costs its client nothing, and its rows would fill the disk.
    """

    def __init__(self, *, window: timedelta) -> None:
        self._window = window
        self._until: dict[tuple[str, ...], datetime] = {}

    def is_first(self, login: _LoginInProgress, counted: log_in.CountedAttempt) -> bool:
        key = _exhausted_window(login, counted)
        if self._until.get(key, login.at) > login.at:
            return False
        if len(self._until) >= AUDITED_THROTTLED_LIMIT:
            self._until = {each: until for each, until in self._until.items() if until > login.at}
        self._until[key] = login.at + self._window
        return True


def _exhausted_window(login: _LoginInProgress, counted: log_in.CountedAttempt) -> tuple[str, ...]:
    """Name the window that refused the attempt: with any other key a client could choose how many rows it makes."""
    match counted.refused_by:
        case LoginLimit.STUDENT:
            return (login.student_id,)
        case LoginLimit.CLIENT:
            return (login.student_id, counted.sender)
        case _:
            return (counted.sender,)


class LogIn:
    def __init__(
        self,
        database: Database,
        password_hashing: PasswordHashing,
        password_rules: PasswordRules,
        issuer: TokenIssuer,
        revocations: Revocations,
        *,
        limits: LoginLimits,
        sessions: SessionLimits,
    ) -> None:
        self._database = database
        self._password_hashing = password_hashing
        self._password_rules = password_rules
        self._issuer = issuer
        self._revocations = revocations
        self._limits = limits
        self._sessions = sessions
        self._audited_throttled = _AuditedThrottled(window=limits.window)

    async def __call__(self, request: identity.Login, client: LoginClient) -> Session:
        """Open a session.

        Raises InvalidStudentId, UnusablePassword and Overloaded before anything was counted; then InvalidCredentials,
        OneTimePasswordExpired, PasswordChangeRequired, TooManyAttempts, and AccountChanged.
        """
        if not is_student_id(request.student_id):
            raise InvalidStudentId
        bind(subject=request.student_id)
        if request.new_password is not UNSET:
            self._password_rules.check_change(
                old=request.password, new=request.new_password, student_id=request.student_id
            )
        login = _LoginInProgress(
            student_id=request.student_id,
            client=client,
            at=now(),
            started_s=perf_counter(),
        )
        async with self._password_hashing.slot(login.share):
            counted = await self._count(login)
            outcome, new_hash = LoginOutcome.THROTTLED, None
            if counted.refused_by is None:
                outcome, new_hash = await self._judge(login, counted.account, request)
        if counted.account is None or outcome is not LoginOutcome.SUCCEEDED:
            raise await self._refuse(login, counted, outcome)
        return await self._open_session(
            login, counted, counted.account, new_hash, is_new_password=request.new_password is not UNSET
        )

    async def _count(self, login: _LoginInProgress) -> log_in.CountedAttempt:
        async with self._database.statement() as connection:
            return await log_in.count_attempt(
                connection,
                student_id=login.student_id,
                client=login.client,
                limits=self._limits,
                now=now(),
            )

    async def _judge(
        self, login: _LoginInProgress, account: Account | None, request: identity.Login
    ) -> tuple[LoginOutcome, str | None]:
        """Return the outcome, and the hash to store: of the new password, or of the old one if its hash is outdated."""
        match = await self._password_hashing.match(
            request.password, account.password_hash if account else None
        )
        outcome = judge_login(account, password_matches=match is not Match.NO)
        new_password = request.new_password
        if account is not None and outcome is LoginOutcome.SUCCEEDED:
            outcome = judge_one_time(account, is_replaced=new_password is not UNSET, at=login.at)
        if outcome is not LoginOutcome.SUCCEEDED:
            return outcome, None
        if new_password is not UNSET:
            return outcome, await self._password_hashing.hash(new_password)
        if match is Match.OUTDATED:  # only a login knows the password
            return outcome, await self._password_hashing.hash(request.password)
        return outcome, None

    async def _refuse(
        self, login: _LoginInProgress, counted: log_in.CountedAttempt, outcome: LoginOutcome
    ) -> ServiceError:
        LOGINS.labels(outcome).inc()
        is_audited = counted.refused_by is None or self._audited_throttled.is_first(login, counted)
        at = now()
        async with self._database.statement() as connection:
            window = await log_in.record_attempt(
                connection,
                login.ended(outcome, counted.user_id),
                counted,
                limits=self._limits,
                now=at,
                is_audited=is_audited,
            )
        if window is None:
            return _REFUSALS[outcome]()
        limit = counted.refused_by or LoginLimit.NETWORK
        THROTTLED.labels(limit).inc()
        return TooManyAttempts(limit, retry_after_s=retry_after_s(window, self._limits, now=at))

    async def _open_session(
        self,
        login: _LoginInProgress,
        counted: log_in.CountedAttempt,
        account: Account,
        new_hash: str | None,
        *,
        is_new_password: bool,
    ) -> Session:
        """Refuse as any failure if the account was disabled, or its password changed, while this one was checked."""
        token, at = new_refresh_token(), now()
        new = self._new_session(login, account, new_hash, hash_refresh_token(token), at=at)
        replaced: list[UUID] = []  # the sessions that end with an old password
        async with self._session_block(new_hash) as connection:
            if new_hash is not None:
                replaced = await self._replace_hash(
                    connection, account, new_hash, ends_sessions=is_new_password, at=at
                )
            ended = await log_in.open_session(
                connection,
                new,
                login.ended(LoginOutcome.SUCCEEDED, account.user_id),
                is_new_device=not counted.is_known_device,
            )
        if ended or replaced:
            self._revocations.announce()
        if ended is None:
            raise await self._refuse(login, counted, LoginOutcome.DISABLED)
        LOGINS.labels(LoginOutcome.SUCCEEDED).inc()
        if is_new_password:
            log_security_event(SecurityEvent.PASSWORD_CHANGED, subject=account.student_id)
        log_security_event(SecurityEvent.LOGIN_SUCCEEDED, subject=account.student_id, session=new.session_id)
        return self._issued(account, token, session_id=new.session_id, at=at)

    def _session_block(self, new_hash: str | None) -> AbstractAsyncContextManager[AsyncConnection]:
        """The session is one statement, which needs no transaction; with a new hash it is two."""
        return self._database.statement() if new_hash is None else self._database.transaction()

    def _issued(self, account: Account, token: str, *, session_id: UUID, at: datetime) -> Session:
        renewable_until = at + min(self._sessions.lifetime, self._sessions.idle)
        return self._issuer.issue(account, token, session=session_id, now=at, renewable_until=renewable_until)

    async def _replace_hash(
        self,
        connection: AsyncConnection,
        account: Account,
        new_hash: str,
        *,
        ends_sessions: bool,
        at: datetime,
    ) -> list[UUID]:
        """Return the ended sessions. Raises AccountChanged if the hash is another one by now."""
        if not await passwords.replace_password(
            connection, user_id=account.user_id, old=account.password_hash, new=new_hash, now=at
        ):
            raise AccountChanged
        if not ends_sessions:
            _log.info("password_rehashed", student_id=account.student_id)
            return []
        return await sessions.end_sessions(connection, user_id=account.user_id, now=at)

    def _new_session(
        self,
        login: _LoginInProgress,
        account: Account,
        new_hash: str | None,
        token_hash: bytes,
        *,
        at: datetime,
    ) -> NewSession:
        return NewSession(
            session_id=new_id(),
            user_id=account.user_id,
            password_hash=new_hash or account.password_hash,
            token_hash=token_hash,
            created_at=at,
            expires_at=at + self._sessions.lifetime,
            access_expires_at=self._issuer.expiry(at),
            client_ip=login.client.address,
            user_agent=readable_user_agent(login.client.user_agent),
        )
