"""What makes two requests the same order: the student's key, and the lines that were asked for under it."""

from collections.abc import Iterable
from hashlib import sha256

from cafeteria.contracts.values import Line


def stored_key(student_id: str, key: str) -> str:
    """Keys are a student's own: a student id holds no colon, so no two students' keys can meet."""
    return f"{student_id}:{key}"


def request_hash(lines: Iterable[Line]) -> bytes:
    """Of what was asked for, however it was written: the order of lines and of JSON members is no matter."""
    asked = sorted((line.item_id.bytes, line.quantity) for line in lines)
    return sha256(b"".join(item + bytes((quantity,)) for item, quantity in asked)).digest()
