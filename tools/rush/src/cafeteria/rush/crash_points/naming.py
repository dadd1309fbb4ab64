"""What a message is called, so that the same message of the next order has the same name."""

import re
from uuid import UUID

import msgspec

_ORDER_ID = re.compile(rb'"order_id"\s*:\s*"([0-9a-f-]{36})"')


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """`topic` is what is being done (a statement, a subject), `kind` this message's part in it.

    `is_the_orders`: it speaks of the order whose life is watched, or stands in one exchange or transaction with a
    message before it that did.
    """

    topic: str
    kind: str
    is_the_orders: bool


class Marks:
    """What tells the watched order from others: its student, and its id as soon as a message on the bus has said it."""

    def __init__(self) -> None:
        self._student_id = b"nobody"
        self._words: set[bytes] = set()

    def watch(self, student_id: str) -> None:
        """From now on this student's order, and no other."""
        self._student_id = student_id.encode()
        self._words = {self._student_id}

    def stand_in(self, raw: bytes) -> bool:
        return any(word in raw for word in self._words)

    def learn(self, body: bytes) -> None:
        """What speaks of the student says the order's id, too."""
        if self._student_id in body:
            for text in _ORDER_ID.findall(body):
                self._words |= {text, UUID(text.decode()).bytes}
