"""Identity's use cases. No hash is computed inside a transaction, and nothing is revoked that is not committed.

A login is two statements with a hash between: the first counts the attempt and finds the account, the second writes
the audit row and, for the right password, the session.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from time import perf_counter
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.clock import now as wall_clock
from cafeteria.chassis.runtime.errors import ServiceError
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import identity
from cafeteria.identity import repository
from cafeteria.identity.domain import (
    Account,
    Attempt,
    LoginLimits,
    LoginOutcome,
    NewRefreshToken,
    Profile,
    RefreshToken,
    RefreshVerdict,
    is_student_id,
    is_usable_password,
    judge_login,
    judge_refresh,
    read_name,
    retry_after_s,
)
from cafeteria.identity.errors import (
    AccountGone,
    InvalidCredentials,
    InvalidStudentId,
    RefreshRefused,
    RefreshRepeated,
    StudentIdTaken,
    TooManyAttempts,
    UnusablePassword,
)
from cafeteria.identity.keys import Keys
from cafeteria.identity.passwords import Match, Passwords
from cafeteria.identity.settings import IdentitySettings

REFRESH_TOKEN_BYTES = 32  # nobody guesses 256 random bits, so a plain SHA-256 keeps them well enough
RETENTION_BATCH_ROWS = 1000  # short transactions: a sweep is never in the way of a login

LOGINS = metrics.counter(
    "cafeteria_identity_logins_total", "Login attempts by what became of them", "outcome"
)
REFRESHES = metrics.counter(
    "cafeteria_identity_refreshes_total", "Refresh tokens presented, by what they led to", "verdict"
)

REMEMBERED_THROTTLED = 10_000
"""Past this the ended windows are forgotten; every live one has cost its sender hashed attempts."""

_GIVES_A_TOKEN = frozenset({RefreshVerdict.ROTATE, RefreshVerdict.REPEAT})

logger = get_logger()


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens for the client, and for how many seconds more it can renew them."""

    tokens: identity.Tokens
    renewable_s: int


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One login attempt on its way. `started` is off the performance counter, in seconds."""

    student_id: str
    client: str | None
    at: datetime
    started: float

    def ended(self, outcome: LoginOutcome, user_id: UUID | None) -> Attempt:
        return Attempt(
            attempt_id=new_id(),
            user_id=user_id,
            student_id=self.student_id,
            client_ip=self.client,
            attempted_at=self.at,
            response_time_ms=round((perf_counter() - self.started) * 1000),
            outcome=outcome,
        )


class _ThrottledLately:
    """One audit row in a window for what is refused unhashed: it costs its sender nothing, and would fill the disk."""

    def __init__(self, *, window: timedelta) -> None:
        self._window = window
        self._until: dict[tuple[str, str | None], datetime] = {}

    def is_first(self, visit: Visit) -> bool:
        who = (visit.student_id, visit.client)
        if self._until.get(who, visit.at) > visit.at:
            return False
        if len(self._until) >= REMEMBERED_THROTTLED:
            self._until = {one: until for one, until in self._until.items() if until > visit.at}
        self._until[who] = visit.at + self._window
        return True


class Identity:
    """`now` is replaced by tests that need another day."""

    def __init__(
        self,
        *,
        database: Database,
        passwords: Passwords,
        keys: Keys,
        settings: IdentitySettings,
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._keys = keys
        self._now = now
        self._access_s = settings.access_token_s
        self._session = timedelta(seconds=settings.session_s)
        self._throttled = _ThrottledLately(window=timedelta(seconds=settings.login_window_s))
        self._limits = LoginLimits(
            per_client=settings.logins_per_client,
            per_student=settings.logins_per_student,
            window=timedelta(seconds=settings.login_window_s),
        )

    @property
    def jwks(self) -> identity.Jwks:
        """The public keys that verify tokens now."""
        return self._keys.jwks

    async def login(self, asked: identity.Login, *, client: str | None) -> Session:
        """Raise InvalidCredentials, TooManyAttempts, or Overloaded before anything was counted."""
        if not is_student_id(asked.student_id):
            raise InvalidStudentId
        visit = Visit(student_id=asked.student_id, client=client, at=self._now(), started=perf_counter())
        async with self._passwords.place():
            counted = await self._count(visit)
            if counted.is_allowed:
                outcome = await self._judge(counted.account, asked.password)
            else:
                outcome = LoginOutcome.THROTTLED
        LOGINS.labels(outcome).inc()
        if counted.account is None or outcome is not LoginOutcome.SUCCEEDED:
            raise await self._refuse(visit, outcome, counted.user_id)
        return await self._open_session(visit, counted.account)

    async def refresh(self, refresh_token: str | None) -> Session:
        """Trade a refresh token for a successor. Raise RefreshRefused, or RefreshRepeated for one repeat too many."""
        if not refresh_token:
            raise RefreshRefused
        now, successor = self._now(), token_urlsafe(REFRESH_TOKEN_BYTES)
        async with self._database.transaction() as connection:
            stored = await repository.lock_refresh_token(connection, _hash(refresh_token))
            verdict = judge_refresh(stored, now=now)
            if stored is not None and verdict in _GIVES_A_TOKEN:
                new = _successor(stored, _hash(successor), now=now)
                await repository.rotate_refresh_token(connection, used=stored.token_id, successor=new)
            elif stored is not None and verdict is RefreshVerdict.REVOKE_FAMILY:
                await repository.revoke_family(connection, stored.family, now=now)
        # Only now, with the commit behind us, may anything be raised: it would have undone the revocation.
        REFRESHES.labels(verdict).inc()
        if stored is None or verdict not in _GIVES_A_TOKEN:
            raise _refresh_refusal(stored, verdict)
        if verdict is RefreshVerdict.REPEAT:
            logger.info("refresh_token_repeated", **_whose(stored))
        return self._issue(stored.account, successor, now=now, renewable_until=stored.expires_at)

    async def logout(self, refresh_token: str) -> None:
        """End the token's family; what is unknown or has ended needs no ending."""
        async with self._database.statement() as connection:
            await repository.revoke_family_of(connection, _hash(refresh_token), now=self._now())

    async def find(self, student_id: str) -> identity.Student:
        """Raise AccountGone for one that was disabled after its token was issued."""
        async with self._database.statement() as connection:
            profile = await repository.find_profile(connection, student_id)
        if profile is None:
            raise AccountGone
        return _student(profile)

    async def register(self, asked: identity.CreateStudent) -> identity.Student:
        """Raise StudentIdTaken, or Overloaded before anything was written."""
        if not is_student_id(asked.student_id):
            raise InvalidStudentId
        if not is_usable_password(asked.password):
            raise UnusablePassword
        full_name = None if asked.full_name is None else read_name(asked.full_name)
        async with self._passwords.place():
            password_hash = await self._passwords.hash(asked.password)
        profile = Profile(student_id=asked.student_id, role=asked.role, full_name=full_name)
        async with self._database.statement() as connection:
            is_new = await repository.insert_user(
                connection, profile, user_id=new_id(), password_hash=password_hash, now=self._now()
            )
        if not is_new:
            raise StudentIdTaken(asked.student_id)
        logger.info("user_registered", student_id=profile.student_id, role=profile.role)
        return _student(profile)

    async def sweep(self) -> None:
        """Delete refresh tokens and login windows that can matter to nobody any more, a batch at a time."""
        now, limit = self._now(), RETENTION_BATCH_ROWS
        tokens = await self._delete_in_batches(
            lambda connection: repository.delete_expired_tokens(connection, now=now, limit=limit)
        )
        ended = now - self._limits.window
        windows = await self._delete_in_batches(
            lambda connection: repository.delete_old_windows(connection, ended=ended, limit=limit)
        )
        logger.info("retention_swept", refresh_tokens=tokens, login_windows=windows)

    async def _delete_in_batches(self, delete: Callable[[AsyncConnection], Awaitable[int]]) -> int:
        total, deleted = 0, RETENTION_BATCH_ROWS
        while deleted == RETENTION_BATCH_ROWS:
            async with self._database.statement() as connection:
                deleted = await delete(connection)
            total += deleted
        return total

    async def _count(self, visit: Visit) -> repository.CountedAttempt:
        async with self._database.statement() as connection:
            return await repository.count_attempt(
                connection,
                student_id=visit.student_id,
                client=visit.client,
                limits=self._limits,
                now=visit.at,
            )

    async def _judge(self, account: Account | None, password: str) -> LoginOutcome:
        match = await self._passwords.match(password, account.password_hash if account else None)
        outcome = judge_login(account, password_matches=match is not Match.NO)
        if account is not None and outcome is LoginOutcome.SUCCEEDED and match is Match.OUTDATED:
            await self._renew_hash(account, password)
        return outcome

    async def _renew_hash(self, account: Account, password: str) -> None:
        """A login is the only moment at which an outdated hash can be replaced: the password is known."""
        renewed = await self._passwords.hash(password)
        async with self._database.statement() as connection:
            await repository.replace_password_hash(
                connection, user_id=account.user_id, old=account.password_hash, new=renewed, now=self._now()
            )
        logger.info("password_rehashed", student_id=account.student_id)

    async def _refuse(self, visit: Visit, outcome: LoginOutcome, user_id: UUID | None) -> ServiceError:
        attempt = visit.ended(outcome, user_id)
        is_audited = outcome is not LoginOutcome.THROTTLED or self._throttled.is_first(visit)
        async with self._database.statement() as connection:
            window = await repository.record_attempt(connection, attempt, is_audited=is_audited)
        if outcome is not LoginOutcome.THROTTLED:
            return InvalidCredentials()
        return TooManyAttempts(retry_after_s=retry_after_s(window, self._limits, now=self._now()))

    async def _open_session(self, visit: Visit, account: Account) -> Session:
        token, token_id = token_urlsafe(REFRESH_TOKEN_BYTES), new_id()
        new = NewRefreshToken(
            token_id=token_id,
            family=token_id,
            user_id=account.user_id,
            token_hash=_hash(token),
            created_at=visit.at,
            expires_at=visit.at + self._session,
        )
        session = self._issue(account, token, now=self._now(), renewable_until=new.expires_at)
        attempt = visit.ended(LoginOutcome.SUCCEEDED, account.user_id)
        async with self._database.statement() as connection:
            await repository.record_attempt(connection, attempt, session=new)
        return session

    def _issue(
        self, account: Account, refresh_token: str, *, now: datetime, renewable_until: datetime
    ) -> Session:
        access_token = self._keys.sign_access_token(
            student_id=account.student_id,
            role=account.role,
            issued_at=now,
            expires_at=now + timedelta(seconds=self._access_s),
        )
        return Session(
            tokens=identity.Tokens(
                access_token=access_token, expires_in=self._access_s, refresh_token=refresh_token
            ),
            renewable_s=max(1, int((renewable_until - now).total_seconds())),
        )


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _successor(used: RefreshToken, token_hash: bytes, *, now: datetime) -> NewRefreshToken:
    """It ends when its family does: a session is renewed often, but lives no longer for it."""
    return NewRefreshToken(
        token_id=new_id(),
        family=used.family,
        user_id=used.account.user_id,
        token_hash=token_hash,
        created_at=now,
        expires_at=used.expires_at,
    )


def _refresh_refusal(stored: RefreshToken | None, verdict: RefreshVerdict) -> ServiceError:
    if stored is None:
        return RefreshRefused()
    if verdict is RefreshVerdict.REFUSE_REPEAT:
        logger.warning("refresh_token_repeated_too_often", **_whose(stored))
        return RefreshRepeated()
    if verdict is RefreshVerdict.REVOKE_FAMILY:
        logger.warning("refresh_token_reused", **_whose(stored))
    return RefreshRefused()


def _whose(stored: RefreshToken) -> dict[str, str]:
    return {"student_id": stored.account.student_id, "family": str(stored.family)}


def _student(profile: Profile) -> identity.Student:
    return identity.Student(student_id=profile.student_id, role=profile.role, full_name=profile.full_name)
