"""Requests as bytes: put together from strings made beforehand, so that sending one costs little."""

import itertools
import random
import secrets
from collections.abc import Callable, Iterator, Sequence

Requests = Callable[[], bytes]
"""Makes the next request."""


def orders(tokens: Sequence[str], items: Sequence[str]) -> Requests:
    """Each with a fresh key, a student and an item by chance."""
    heads, tails = [_order_head(token) for token in tokens], [_order_tail(item) for item in items]
    run, numbers = secrets.token_hex(6).encode(), itertools.count()
    chance = random.Random(run)  # noqa: S311 - who orders what is no secret

    def next_order() -> bytes:
        return chance.choice(heads) + b"%s-%d" % (run, next(numbers)) + chance.choice(tails)

    return next_order


def logins(student_ids: Sequence[str], password: str) -> Requests:
    """One student after another, and again from the first."""
    students: Iterator[str] = itertools.cycle(student_ids)
    return lambda: _login(next(students), password)


def lists(tokens: Sequence[str]) -> Requests:
    """The newest orders of one student after another."""
    heads = itertools.cycle(
        f"GET /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        for token in tokens
    )
    return lambda: next(heads)


def stream(token: str) -> bytes:
    """Asks for the student's events."""
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
    """The end of the head, and the body."""
    return b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
