"""What makes two requests the same order: the student's key, and the lines that were asked for under it."""

import re
from collections.abc import Iterable
from hashlib import sha256

from cafeteria.contracts.values import Line
from cafeteria.gateway.errors import IdempotencyKeyMissing

_PLAIN_KEY = re.compile(r"[!#-~][!-~]{0,254}")
_QUOTED_KEY = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')
_ESCAPED = re.compile(r"\\(.)")
_KEY_LIMIT = 255


def parse_idempotency_key(header: str | None) -> str:
    """The key in an `Idempotency-Key` header: bare, or a quoted structured-field string.

    Raises IdempotencyKeyMissing unless it is 1 to 255 visible ASCII characters.
    """
    text = (header or "").strip()
    if _PLAIN_KEY.fullmatch(text):
        return text
    quoted = _QUOTED_KEY.fullmatch(text)
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else ""
    if not 0 < len(key) <= _KEY_LIMIT:
        raise IdempotencyKeyMissing
    return key


def stored_key(student_id: str, key: str) -> str:
    """Keys are a student's own: a student id holds no colon, so no two students' keys can meet."""
    return f"{student_id}:{key}"


def request_hash(lines: Iterable[Line]) -> bytes:
    """Of what was asked for, however it was written: the order of lines and of JSON members is no matter."""
    asked = sorted((line.item_id.bytes, line.quantity) for line in lines)
    return sha256(b"".join(item + bytes((quantity,)) for item, quantity in asked)).digest()
