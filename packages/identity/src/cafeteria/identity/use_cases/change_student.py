"""Change student: an operator changes name, role or `disabled` of an account.

An access token carries the role, so another role ends all sessions, as disabling does. There is always an enabled
operator, and no operator locks themself out.
"""

from datetime import datetime
from typing import Any

from msgspec import UNSET

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.observability.security_log import log_security_event
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.contracts import identity
from cafeteria.contracts.values import Role
from cafeteria.identity.domain import is_student_id, read_name
from cafeteria.identity.errors import LastOperator, OwnAccount, StudentNotFound
from cafeteria.identity.repository import change_student
from cafeteria.identity.repository.list_students import to_account
from cafeteria.identity.repository.sessions import end_sessions
from cafeteria.identity.revocations import Revocations

_log = get_logger()


class ChangeStudent:
    def __init__(self, database: Database, revocations: Revocations) -> None:
        self._database = database
        self._revocations = revocations

    async def __call__(
        self, student_id: str, wanted: identity.ChangeStudent, *, operator: str
    ) -> identity.StudentAccount:
        """Return the account after the change. `operator` is the student id of the caller.

        Raises StudentNotFound, UnusableName, OwnAccount and LastOperator; then nothing was changed.
        """
        if not is_student_id(student_id):
            raise StudentNotFound
        takes_operator = wanted.disabled is True or wanted.role not in (UNSET, Role.OPERATOR)
        if takes_operator and student_id == operator:
            raise OwnAccount("Another operator can disable it or change its role.")
        ended, account, events = await self._change(student_id, wanted, takes_operator=takes_operator)
        if ended:
            self._revocations.announce()
        _log.info("student_changed", student_id=student_id, operator=operator)
        for event in events:
            log_security_event(event, subject=student_id, operator=operator, role=account.role)
        return account

    async def _change(
        self, student_id: str, wanted: identity.ChangeStudent, *, takes_operator: bool
    ) -> tuple[bool, identity.StudentAccount, list[SecurityEvent]]:
        """Change the account in one transaction; return whether its sessions were ended, the account, and the events."""
        at = now()
        async with self._database.transaction() as connection:
            if takes_operator and await change_student.lock_operators(connection) == {student_id}:
                raise LastOperator
            stored = await change_student.lock_account(connection, student_id)
            if stored is None:
                raise StudentNotFound
            changes = _changes(wanted, stored, at=at)
            if not changes:
                return False, to_account(stored), []
            changed = await change_student.change_account(
                connection, student_id, {**changes, "updated_at": at}
            )
            ends = changed.role != stored.role or changed.disabled_at is not None
            if ends:
                await end_sessions(connection, user_id=stored.id, now=at)
        return ends, to_account(changed), _events(changes)


def _events(changes: dict[str, Any]) -> list[SecurityEvent]:
    events = [SecurityEvent.ROLE_CHANGED] if "role" in changes else []
    if "disabled_at" in changes:
        is_disabled = changes["disabled_at"] is not None
        events.append(SecurityEvent.ACCOUNT_DISABLED if is_disabled else SecurityEvent.ACCOUNT_ENABLED)
    return events


def _changes(wanted: identity.ChangeStudent, stored: Any, *, at: datetime) -> dict[str, Any]:
    """Return the columns that differ from the stored account; one that is disabled already keeps its time."""
    changes: dict[str, Any] = {}
    if wanted.full_name is not UNSET:
        changes["full_name"] = None if wanted.full_name is None else read_name(wanted.full_name)
    if wanted.role is not UNSET:
        changes["role"] = wanted.role.value
    if wanted.disabled is not UNSET:
        changes["disabled_at"] = (stored.disabled_at or at) if wanted.disabled else None
    return {name: value for name, value in changes.items() if value != getattr(stored, name)}
