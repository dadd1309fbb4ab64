"""What a message is called, so that the same message of the next order has the same name."""

from contextlib import suppress
from uuid import UUID

import msgspec


class _Item(msgspec.Struct, frozen=True):
    """What is said of one order."""

    order_id: UUID | None = None
    student_id: str = ""


class _Body(_Item, frozen=True):
    """A message about one order, or about several."""

    orders: tuple[_Item, ...] = ()
    events: tuple[_Item, ...] = ()


_BODY = msgspec.json.Decoder(_Body)


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
        self._student_id = "nobody"
        self._words: set[bytes] = set()

    def watch(self, student_id: str) -> None:
        """From now on this student's order, and no other."""
        self._student_id = student_id
        self._words = {student_id.encode()}

    def stand_in(self, raw: bytes) -> bool:
        return any(word in raw for word in self._words)

    def learn(self, body: bytes) -> None:
        """An item that speaks of the student says the order's id, too; its neighbours are other orders."""
        if self._student_id.encode() not in body:
            return
        with suppress(msgspec.MsgspecError):
            told = _BODY.decode(body)
            for item in (told, *told.orders, *told.events):
                if item.student_id == self._student_id and item.order_id is not None:
                    self._words |= {str(item.order_id).encode(), item.order_id.bytes}
