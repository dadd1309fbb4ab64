"""The server's own answers to requests that never reach the app: problem documents like the app's."""

from http import HTTPStatus
from random import getrandbits

from litestar.types import ASGIApp, Receive, Scope, Send

from cafeteria.chassis.http.problem_details import PROBLEM_JSON, TooLarge, encode_problem
from cafeteria.chassis.http.security_headers import Headers, with_defaults
from cafeteria.chassis.runtime.errors import InvalidRequest, ServiceError


class HeadTooLarge(TooLarge):
    status = 431
    title = "Request header fields too large"

    def __init__(self) -> None:
        super().__init__(
            "The request's address and headers are larger than this service accepts. Nothing was done."
        )


class RequestTimedOut(InvalidRequest):
    status = 408
    title = "Request timed out"

    def __init__(self) -> None:
        super().__init__("The request was not complete in time. Nothing was done: send it again.")


class UnreadableRequest(InvalidRequest):
    def __init__(self) -> None:
        super().__init__("This is not an HTTP request that can be understood. Nothing was done.")


def refusing(refusal: ServiceError) -> ASGIApp:
    """An app that answers everything with `refusal`."""

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        headers, body = _problem(refusal, instance=scope.get("path"))
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return answer


def raw_answer(refusal: ServiceError, more_headers: Headers) -> bytes:
    """The bytes of an answer to data that is no request; the connection ends after it."""
    headers, body = _problem(refusal, instance=None)
    lines = [b"HTTP/1.1 %d %b" % (refusal.status, HTTPStatus(refusal.status).phrase.encode())]
    lines += [b"%b: %b" % header for header in (*more_headers, *headers, (b"connection", b"close"))]
    return b"\r\n".join([*lines, b"", body])


def _problem(refusal: ServiceError, *, instance: str | None) -> tuple[Headers, bytes]:
    request_id = f"{getrandbits(96):024x}"
    body = encode_problem(refusal, instance=instance, request_id=request_id)
    headers = [(b"x-request-id", request_id.encode())]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in refusal.headers.items()]
    headers += [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", b"%d" % len(body))]
    return with_defaults(headers), body
