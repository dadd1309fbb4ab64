"""Convert rows to values and back: a jsonb column holds the encoded structs of a contract.

It is read as text, which msgspec decodes at once; the driver would make lists of dicts of it first.
"""

import msgspec

from cafeteria.chassis.database.statement import Row
from cafeteria.contracts import kitchen
from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.contracts.values import PricedLine, StatusTime
from cafeteria.kitchen.domain import Ticket

_decode_path = msgspec.json.Decoder(tuple[StatusTime, ...]).decode
_decode_lines = msgspec.json.Decoder(tuple[PricedLine, ...]).decode
encode = msgspec.json.Encoder().encode


def to_json(value: object) -> str:
    return encode(value).decode()


def to_ticket(row: Row) -> Ticket:
    return Ticket(
        id=row["id"],
        order_id=row["order_id"],
        student_id=row["student_id"],
        status=TicketStatus(row["status"]),
        path=_decode_path(row["path"]),
        traceparent=row["traceparent"],
    )


def to_view(row: Row) -> kitchen.Ticket:
    """Return the ticket as the HTTP interface shows it."""
    return kitchen.Ticket(**{**row, "status": TicketStatus(row.status), "lines": _decode_lines(row.lines)})
