"""Names for the messages of one connection to Postgres: the statement, and the message's part in its execution.

A statement's name has the tables that it writes or reads and three hex digits of its text's checksum, because several
statements use the same tables. Messages that prepare a statement have a topic of their own, so that later executions
on the connection keep their numbers.
"""

import re
import zlib
from collections import deque

import msgspec

from cafeteria.crash_points.naming import Marks, Named
from cafeteria.crash_points.postgres_frames import PostgresFrame
from cafeteria.faultkit.tcp_proxy import Direction

CHATTER = "chatter"
_DRIVER_QUERIES = ("pg_catalog", "set_config(")
"""Parts of queries that only the driver sends, the first time it uses a connection or a type."""
_TRANSACTION_VERBS = frozenset({"begin", "commit", "rollback", "savepoint", "release"})

_WRITTEN = re.compile(r"(?:INSERT INTO|(?<!FOR )UPDATE|DELETE FROM)\s+\w+\.(\w+)", re.IGNORECASE)
_READ = re.compile(r"(?:FROM|JOIN)\s+\w+\.(\w+)", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_ENDS = {
    "Parse": {"ParseComplete"},
    "Bind": {"BindComplete"},
    "Close": {"CloseComplete"},
    "Describe": {"RowDescription", "NoData"},
    "Execute": {"CommandComplete", "EmptyQueryResponse", "PortalSuspended"},
    "Query": {"ReadyForQuery"},
    "Sync": {"ReadyForQuery"},
}
"""By request: the reply that ends it."""
_UNSOLICITED = frozenset({"NoticeResponse", "ParameterStatus", "NotificationResponse"})
_IDLE = b"I"


def statement_name(sql: str) -> str:
    """Return `begin` and the like as they are, others as `orders+outbox.3fa`: tables, and digits of a checksum."""
    text = _SPACE.sub(" ", sql.strip().rstrip(";"))
    first_word = text.partition(" ")[0].lower()
    if first_word in _TRANSACTION_VERBS:
        return first_word
    tables = _WRITTEN.findall(text) or [f"read-{table}" for table in _READ.findall(text)[:1]]
    name = "+".join(dict.fromkeys(tables)) or first_word
    return f"{name}.{zlib.crc32(text.encode()) & 0xFFF:03x}"


class _Request(msgspec.Struct, frozen=True):
    """A request whose replies have not all arrived."""

    kind: str
    topic: str


class PostgresNames:
    """Names the messages of one connection, in both directions."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._topics: dict[bytes, str] = {}
        self._topic = ""
        self._unanswered: deque[_Request] = deque()
        self._is_open = False
        self._is_chatter = False
        self._is_the_orders = False

    def name(self, frame: PostgresFrame, direction: Direction) -> Named | None:
        """Return the message's name; None before the first statement and for the driver's queries about types."""
        if not self._is_open:
            self._is_open = frame.kind == "ReadyForQuery"
            return None
        is_marked = self._marks.occur_in(frame.raw)
        self._is_the_orders = self._is_the_orders or is_marked
        topic = self._requested(frame) if direction is Direction.REQUESTS else self._replied(frame)
        is_the_orders = is_marked if frame.kind == "DataRow" else self._is_the_orders
        if frame.kind == "ReadyForQuery" and frame.body == _IDLE:
            self._is_the_orders = False
        if topic is None or self._is_chatter:
            return None
        return Named(topic=topic, kind=frame.kind, is_the_orders=is_the_orders)

    def _requested(self, frame: PostgresFrame) -> str:
        if frame.kind in {"Parse", "Query"}:
            self._topic = self._parsed(frame)
        elif frame.kind == "Bind":
            self._topic = self._topics.get(_second_text(frame.body), "unknown")
        self._is_chatter = self._topic == CHATTER
        topic = self._topic
        if frame.kind in {"Parse", "Describe", "Flush"}:
            topic = f"prepare-{topic}"
        if frame.kind in _ENDS:
            self._unanswered.append(_Request(frame.kind, topic))
        return topic

    def _parsed(self, frame: PostgresFrame) -> str:
        name, _, sql_and_types = frame.body.partition(b"\0")
        sql = (sql_and_types if frame.kind == "Parse" else name).partition(b"\0")[0].decode(errors="replace")
        topic = CHATTER if any(word in sql for word in _DRIVER_QUERIES) else statement_name(sql)
        if frame.kind == "Parse":
            self._topics[name] = topic
        return topic

    def _replied(self, frame: PostgresFrame) -> str | None:
        if frame.kind in _UNSOLICITED or not self._unanswered:
            return None
        if frame.kind == "ErrorResponse":  # requests before the next Sync get no reply after an error
            topic = self._unanswered[0].topic
            while self._unanswered and self._unanswered[0].kind not in {"Sync", "Query"}:
                self._unanswered.popleft()
            return topic
        request = self._unanswered[0]
        if frame.kind in _ENDS[request.kind]:
            self._unanswered.popleft()
        return request.topic


def _second_text(body: bytes) -> bytes:
    """Return the statement's name from a Bind, which names its portal first."""
    return body.partition(b"\0")[2].partition(b"\0")[0]
