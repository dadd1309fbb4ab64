"""Decides when two requests are the same order: the same student's key, and the same lines."""

from collections.abc import Iterable
from hashlib import sha256

from cafeteria.contracts.values import Line


def stored_key(student_id: str, key: str) -> str:
    """The key as stored, unique to its student: a student id has no colon, so no two students' keys are equal."""
    return f"{student_id}:{key}"


def request_hash(lines: Iterable[Line]) -> bytes:
    """SHA-256 of the items and quantities, 32 bytes; the order of lines and of JSON members does not matter."""
    asked = sorted((line.item_id.bytes, line.quantity) for line in lines)
    return sha256(b"".join(item + bytes((quantity,)) for item, quantity in asked)).digest()
