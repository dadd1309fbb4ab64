"""Turn every error of a service, of Litestar or of a bug into one RFC 9457 problem document.

This module is the only mapping. The client sees nothing of an unforeseen error, which is logged once.
"""

from collections.abc import Iterable, Iterator
from http import HTTPMethod
from typing import Any, ClassVar

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException, SerializationException

from cafeteria.chassis.http.request_log import REFUSAL
from cafeteria.chassis.http.responses import BytesResponse
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    NotUnderstood,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from cafeteria.contracts.problems import Problem, ProblemCode, problem_type

PROBLEM_JSON = "application/problem+json"

_log = logs.get_logger()
_encoder = msgspec.json.Encoder()


class MethodNotAllowed(ServiceError):
    code = ProblemCode.METHOD_NOT_ALLOWED
    status = 405
    title = "Method not allowed"


class TooLarge(ServiceError):
    code = ProblemCode.TOO_LARGE
    status = 413
    title = "Too large"


class BodyIncomplete(InvalidRequest):
    """The client left before its body was complete, so nobody reads an answer."""

    def __init__(self) -> None:
        super().__init__("The body ended before it was complete. Nothing was done.")


TOO_LARGE_DETAIL = "The body is larger than this address accepts. Nothing was done."


class UnsupportedMediaType(InvalidRequest):
    status = 415
    title = "Unsupported media type"


class InternalError(ServiceError):
    """The answer to an unforeseen error."""

    code = ProblemCode.INTERNAL
    status = 500
    title = "Internal error"
    DETAIL: ClassVar[str] = (
        "Something unforeseen went wrong here, and was logged under this request_id. "
        "What the request did is unknown: look before you send it again."
    )

    def __init__(self) -> None:
        super().__init__(self.DETAIL)


def refusal_of(error: Exception) -> ServiceError:
    """The ServiceError that answers `error`."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, HTTPException):
        return _of_litestar(error)
    return InternalError()


def allow_header(methods: Iterable[str]) -> str:
    """The value of `Allow`: with GET a route also accepts HEAD, and every route accepts OPTIONS."""
    extra = {HTTPMethod.OPTIONS, HTTPMethod.HEAD} if HTTPMethod.GET in methods else {HTTPMethod.OPTIONS}
    return ", ".join(sorted({*methods, *extra}))


def encode_problem(refusal: ServiceError, *, instance: str | None, request_id: str | None) -> bytes:
    return _encoder.encode(
        Problem(
            type=problem_type(refusal.code),
            title=refusal.title,
            status=refusal.status,
            detail=refusal.detail,
            instance=instance,
            request_id=request_id,
            errors=refusal.errors,
            **refusal.members,
        )
    )


def answer_error(request: Request[Any, Any, Any], error: Exception) -> BytesResponse:
    """Litestar's exception handler for every error. Raises BodyIncomplete, which the request boundary ends."""
    refusal = refusal_of(error)
    if isinstance(refusal, BodyIncomplete):
        raise refusal
    request.scope[REFUSAL] = refusal  # type: ignore[literal-required]  # a key of our own
    if isinstance(refusal, InternalError):
        log_unforeseen(error)
    body = encode_problem(refusal, instance=request.scope["path"], request_id=logs.request_id())
    return BytesResponse(body, status=refusal.status, media_type=PROBLEM_JSON, headers=refusal.headers)


def log_unforeseen(error: BaseException) -> None:
    """Log one line with the traceback."""
    _log.error("request_failed", exc_info=error)


_LITESTAR: dict[int, tuple[type[ServiceError], str]] = {
    401: (Unauthenticated, "This address needs an access token; none was sent, or it was not accepted."),
    403: (Forbidden, "You may not do this."),
    404: (NotFound, "Nothing is found at this address."),
    413: (TooLarge, TOO_LARGE_DETAIL),
    503: (Unavailable, "This service cannot answer just now. Try again shortly."),
}
_METHODS_DETAIL = (
    "This address does not accept that method; the Allow header names the methods that it accepts."
)


def _of_litestar(error: HTTPException) -> ServiceError:
    status = error.status_code
    if status == MethodNotAllowed.status:
        allowed = (error.headers or {}).get("allow", "").split(", ")
        return MethodNotAllowed(_METHODS_DETAIL, headers={"Allow": allow_header(allowed)})
    if status in _LITESTAR:
        kind, detail = _LITESTAR[status]
        return kind(detail)
    if status >= InternalError.status:
        return InternalError()
    return NotUnderstood(*_faults(error))


def _faults(error: HTTPException) -> Iterator[str]:
    """One sentence for each fault, which begins with its place in the request."""
    extra = error.extra if isinstance(error.extra, list) else []
    for fault in extra:
        source, key, message = (fault.get(part, "") for part in ("source", "key", "message"))
        if key == "data":
            # the whole body: Litestar names the handler's parameter
            yield "body: a JSON body is missing" if message == "'data'" else f"body: {message}"
        else:
            yield f"{getattr(source, 'value', source)}.{key}: {message}"
    if not extra:
        # Litestar's own sentence, which may name the path but never the query
        place = "body: " if isinstance(error.__cause__, SerializationException) else ""
        yield place + error.detail.partition(" for path ")[0]
