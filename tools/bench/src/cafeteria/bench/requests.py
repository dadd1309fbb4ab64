"""Requests as bytes, assembled from parts made in advance, so that one costs little CPU."""

import itertools
import random
import secrets
from collections.abc import Callable, Iterator, Sequence

Requests = Callable[[], bytes]
"""Returns the next request."""


def orders(tokens: Sequence[str], items: Sequence[str]) -> Requests:
    """Orders, each with a new key, a random student and a random item."""
    heads, tails = [_order_head(token) for token in tokens], [_order_tail(item) for item in items]
    run, numbers = secrets.token_hex(6).encode(), itertools.count()
    generator = random.Random(run)  # noqa: S311 - not a secret

    def next_order() -> bytes:
        return generator.choice(heads) + b"%s-%d" % (run, next(numbers)) + generator.choice(tails)

    return next_order


def logins(student_ids: Sequence[str], password: str) -> Requests:
    """Logins of one student after another, in a cycle."""
    students: Iterator[str] = itertools.cycle(student_ids)
    return lambda: _login(next(students), password)


def lists(tokens: Sequence[str]) -> Requests:
    """Lists of the newest orders of one student after another, in a cycle."""
    heads = itertools.cycle(
        f"GET /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        for token in tokens
    )
    return lambda: next(heads)


def stream(token: str) -> bytes:
    """Return a request for the student's event stream."""
    return (
        "GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def _order_head(token: str) -> bytes:
    return (
        "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nIdempotency-Key: "
    ).encode()


def _order_tail(item: str) -> bytes:
    return _with_length(b'{"lines":[{"item_id":"%s","quantity":1}]}' % item.encode())


def _login(student_id: str, password: str) -> bytes:
    body = b'{"student_id":"%s","password":"%s"}' % (student_id.encode(), password.encode())
    return b"POST /v1/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json" + _with_length(
        body
    )


def _with_length(body: bytes) -> bytes:
    """Return the end of the head, and the body."""
    return b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
