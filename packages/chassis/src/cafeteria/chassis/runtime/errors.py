"""Every refusal of a service is an exception class with a stable code and its HTTP status.

`detail` is a sentence for a person: what happened, what was kept, what to do. It never holds a secret.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.contracts.problems import ProblemCode


class ServiceError(Exception):
    """The base class of every refusal. Any other exception is a bug, which is answered with 500.

    `errors` and `members` are members of the problem document; the answer carries `headers`.
    """

    code: ClassVar[ProblemCode] = ProblemCode.INTERNAL
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    security_event: ClassVar[SecurityEvent | None] = None
    """None: that of the status, if it has one."""

    def __init__(
        self,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: tuple[str, ...] = (),
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers: dict[str, str] = dict(headers or {})
        self.errors = errors
        self.members = members


class InvalidRequest(ServiceError):
    """The request breaks a rule. `errors` names each fault, with its place in the request."""

    code = ProblemCode.INVALID_REQUEST
    status = 400
    title = "Invalid request"


class NotUnderstood(InvalidRequest):
    """The body, query, path or headers have a form that the address does not accept."""

    def __init__(self, *faults: str) -> None:
        super().__init__(
            "The request was not understood, and nothing was done. Fix what `errors` names, then send it again.",
            errors=faults,
        )


class Unauthenticated(ServiceError):
    code = ProblemCode.UNAUTHENTICATED
    status = 401
    title = "Not signed in"

    def __init__(self, detail: str, *, challenge: str = 'Bearer realm="cafeteria"') -> None:
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class Forbidden(ServiceError):
    code = ProblemCode.FORBIDDEN
    status = 403
    title = "Not allowed"


class OriginRefused(Forbidden):
    """A page of another site made the browser send the request."""

    security_event = SecurityEvent.ORIGIN_REFUSED


class NotFound(ServiceError):
    code = ProblemCode.NOT_FOUND
    status = 404
    title = "Not found"


class Conflict(ServiceError):
    code = ProblemCode.CONFLICT
    status = 409
    title = "Conflict"


class Unavailable(ServiceError):
    """A dependency does not answer. The effect of the failed step is unknown, unless `detail` names it."""

    code = ProblemCode.UNAVAILABLE
    status = 503
    title = "Service unavailable"

    def __init__(self, detail: str, *, retry_after_s: int = 1, **members: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)}, **members)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """Load shedding: the service refused the request before it wrote anything, so the client may send it again."""

    code = ProblemCode.OVERLOADED
    title = "Too busy"


class LimitReached(ServiceError):
    """One person has as many of something as a setting allows one to have: the service did nothing for this request."""

    code = ProblemCode.LIMIT_REACHED
    status = 429
    title = "Limit reached"

    def __init__(self, detail: str, *, retry_after_s: int, **members: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)}, **members)
