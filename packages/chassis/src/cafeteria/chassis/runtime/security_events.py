"""The security events: a closed set of names, which alarms and searches of the log may rely on.

docs/security.md has a row for each, and a test compares the two. A name never changes its meaning.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class SecurityEvent(StrEnum):
    """The member `security_event` of a log line. A refusal is in the line of its request; the others have their own."""

    ACCESS_TOKEN_REFUSED = "access_token_refused"  # noqa: S105 - a name
    ROLE_REFUSED = "role_refused"
    ORIGIN_REFUSED = "origin_refused"
    LIMIT_REACHED = "limit_reached"
    LOGIN_FAILED = "login_failed"
    LOGIN_LIMITED = "login_limited"
    REFRESH_TOKEN_REFUSED = "refresh_token_refused"  # noqa: S105 - a name
    LOGIN_SUCCEEDED = "login_succeeded"
    REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 - a name
    SESSION_ENDED = "session_ended"
    SESSIONS_ENDED = "sessions_ended"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name
    ACCOUNT_CREATED = "account_created"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    ROLE_CHANGED = "role_changed"


BY_STATUS: Mapping[int, SecurityEvent] = MappingProxyType(
    {
        401: SecurityEvent.ACCESS_TOKEN_REFUSED,
        403: SecurityEvent.ROLE_REFUSED,
        429: SecurityEvent.LIMIT_REACHED,
    }
)
"""Every answer with one of these statuses is a security event: this one, unless its refusal names another."""
