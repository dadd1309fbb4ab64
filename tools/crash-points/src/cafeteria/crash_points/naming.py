"""Names for messages, chosen so that the same message of the next order has the same name."""

from contextlib import suppress
from uuid import UUID

import msgspec


class _Item(msgspec.Struct, frozen=True):
    """The fields of an item that identify an order and its student."""

    order_id: UUID | None = None
    student_id: str = ""


class _Body(_Item, frozen=True):
    """A message about one order, or about several."""

    orders: tuple[_Item, ...] = ()
    events: tuple[_Item, ...] = ()


_BODY = msgspec.json.Decoder(_Body)


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a message: `topic` is a statement or a subject, `kind` the message's part in it.

    `is_the_orders` is true when the message concerns the watched order, or belongs to the same exchange or transaction
    as an earlier message that does.
    """

    topic: str
    kind: str
    is_the_orders: bool


class Marks:
    """Recognises the watched order: by its student, and by its id once a message on the bus has contained it."""

    def __init__(self) -> None:
        self._student_id = "nobody"
        self._patterns: set[bytes] = set()

    def watch(self, student_id: str) -> None:
        """Watch this student's order, and no other, from now on."""
        self._student_id = student_id
        self._patterns = {student_id.encode()}

    def occur_in(self, raw: bytes) -> bool:
        return any(word in raw for word in self._patterns)

    def learn(self, body: bytes) -> None:
        """Learn the order's id from the item that names the student; the items beside it are other orders."""
        if self._student_id.encode() not in body:
            return
        with suppress(msgspec.MsgspecError):
            decoded = _BODY.decode(body)
            for item in (decoded, *decoded.orders, *decoded.events):
                if item.student_id == self._student_id and item.order_id is not None:
                    self._patterns |= {str(item.order_id).encode(), item.order_id.bytes}
