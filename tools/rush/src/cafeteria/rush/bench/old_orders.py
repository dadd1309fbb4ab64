"""Orders of long ago, put into the tables by COPY: decided, cooked, told and confirmed, as the services leave them.

Their ids begin with the times that they were made at, so they sort before everything that comes after. Times of
states are the same in all of them; sizes are those of real rows.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

CHUNK = 10_000  # rows made at a time, a few MiB
SPREAD = timedelta(days=300)
NULL = r"\N"
PRICE = "120.00"
STATUSES = ("PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY")


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """How many, of whom and of what; the newest was made a day before `now`."""

    orders: int
    students: Sequence[str]
    items: Sequence[str]
    now: datetime


class _Order(msgspec.Struct, frozen=True):
    """What all rows of one order share, as text."""

    number: int
    milliseconds: int
    student: str
    item: str
    at: str

    def id(self, table: int, place: int = 0) -> str:
        """A UUIDv7 of that time; `table` and `place` keep those of one order apart."""
        time = f"{self.milliseconds:012x}"
        return f"{time[:8]}-{time[8:]}-7{table:02x}{place:x}-8{self.number >> 48:03x}-{self.number & 0xFFFFFFFFFFFF:012x}"


Rows = Callable[[_Order], Iterator[tuple[object, ...]]]

_ORDERS, _TRANSACTIONS, _TICKETS, _HISTORY, _NOTIFICATIONS = range(1, 6)


async def load(connection: asyncpg.Connection, past: Past) -> None:
    """Into empty tables, in one transaction each; the ledger is balanced by a restock of what was taken."""
    for schema, table, columns, rows in _TABLES:
        await connection.copy_to_table(
            table, schema_name=schema, columns=columns, source=_Source(past, rows, count=past.orders)
        )
    await connection.execute(
        "UPDATE stock.restocks SET quantity = quantity + taken FROM (SELECT item_id, sum(quantity_deducted) AS taken"
        " FROM stock.stock_transactions GROUP BY item_id) AS ledger WHERE ledger.item_id = restocks.item_id"
    )
    await connection.execute(
        "INSERT INTO notification.position_counter VALUES (1, $1, '', 0)"
        " ON CONFLICT (id) DO UPDATE SET position = $1",
        past.orders * len(STATUSES),
    )


class _Source:
    """Rows in COPY's text format, a chunk at a time."""

    def __init__(self, past: Past, rows: Rows, *, count: int) -> None:
        self._past = past
        self._rows = rows
        self._numbers = iter(range(count))
        newest = past.now - timedelta(days=1)
        self._began_ms = int((newest - SPREAD).timestamp() * 1000)
        self._step_ms = SPREAD.total_seconds() * 1000 / max(1, count)

    def __aiter__(self) -> "_Source":
        return self

    async def __anext__(self) -> bytes:
        lines: list[str] = []
        while len(lines) < CHUNK and (number := next(self._numbers, None)) is not None:
            order = self._order(number)
            lines.extend("\t".join(map(str, row)) for row in self._rows(order))
        if not lines:
            raise StopAsyncIteration
        return ("\n".join(lines) + "\n").encode()

    def _order(self, number: int) -> _Order:
        milliseconds = self._began_ms + int(number * self._step_ms)
        return _Order(
            number,
            milliseconds,
            self._past.students[number % len(self._past.students)],
            self._past.items[number * 7 % len(self._past.items)],
            datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(),
        )


def _lines(order: _Order) -> str:
    return (
        f'[{{"item_id": "{order.item}", "name": "Chicken Biryani", "quantity": 1, "unit_price": "{PRICE}"}}]'
    )


_WHEN = "2025-03-01T17:58:03.123456Z"
_TIMES_BY_STATUS = "{" + ", ".join(f'"{status}": "{_WHEN}"' for status in STATUSES) + "}"
_TIMES_IN_ORDER = (
    "["
    + ", ".join(
        f'{{"status": "{status}", "version": {version}, "at": "{_WHEN}"}}'
        for version, status in enumerate(STATUSES, start=1)
    )
    + "]"
)


def _orders(order: _Order) -> Iterator[tuple[object, ...]]:
    yield (
        *(order.id(_ORDERS), order.student, "READY", order.at, order.at, _lines(order), PRICE, 4, order.at),
        *(_TIMES_BY_STATUS, order.at, 2),
    )


def _reservations(order: _Order) -> Iterator[tuple[object, ...]]:
    yield order.id(_ORDERS), "RESERVED", _lines(order), order.at


def _transactions(order: _Order) -> Iterator[tuple[object, ...]]:
    yield order.id(_TRANSACTIONS), order.id(_ORDERS), order.item, 1, order.at, "DEDUCT"


def _tickets(order: _Order) -> Iterator[tuple[object, ...]]:
    yield (
        *(order.id(_TICKETS), order.id(_ORDERS), order.student, "READY", 4, _lines(order), _TIMES_IN_ORDER),
        *(order.at, order.at, order.at, order.at, 4, 4),
    )


def _history(order: _Order) -> Iterator[tuple[object, ...]]:
    for place, status in enumerate(STATUSES[2:]):
        yield order.id(_HISTORY, place), order.id(_TICKETS), status, order.at


def _notifications(order: _Order) -> Iterator[tuple[object, ...]]:
    for place, status in enumerate(STATUSES):
        position = order.number * len(STATUSES) + place + 1
        yield (
            *(order.id(_NOTIFICATIONS, place), order.id(_ORDERS), order.student, status, order.at, place + 1),
            *(position, order.at, order.at),
        )


_TABLES: tuple[tuple[str, str, tuple[str, ...], Rows], ...] = (
    (
        "gateway",
        "orders",
        (
            *("id", "student_id", "status", "created_at", "updated_at", "lines", "total", "version"),
            *("expires_at", "status_times", "kitchen_seen_at", "notified_version"),
        ),
        _orders,
    ),
    ("stock", "reservations", ("order_id", "decision", "lines", "decided_at"), _reservations),
    (
        "stock",
        "stock_transactions",
        ("id", "order_id", "item_id", "quantity_deducted", "created_at", "kind"),
        _transactions,
    ),
    (
        "kitchen",
        "kitchen_orders",
        (
            *("id", "order_id", "student_id", "status", "version", "lines", "status_times", "received_at"),
            *("started_at", "due_at", "completed_at", "gateway_version", "notified_version"),
        ),
        _tickets,
    ),
    (
        "kitchen",
        "order_status_history",
        ("id", "kitchen_order_id", "status", "changed_at"),
        _history,
    ),
    (
        "notification",
        "notifications",
        (
            *("id", "order_id", "student_id", "status_sent", "sent_at", "version", "position"),
            *("status_at", "delivered_at"),
        ),
        _notifications,
    ),
)
