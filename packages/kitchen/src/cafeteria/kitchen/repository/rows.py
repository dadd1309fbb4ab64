"""Convert rows to values and back: a jsonb column holds the encoded structs of a contract.

It is read as text, which msgspec decodes at once; the driver would make lists of dicts of it first.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from cafeteria.chassis.database.statement import Row
from cafeteria.contracts import kitchen
from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.contracts.values import PricedLine, StatusTime
from cafeteria.kitchen.domain import Ticket
from cafeteria.kitchen.pickup import pickup_of

PICKUP = "number, (SELECT key FROM kitchen.pickup_key) AS pickup_key"
"""The columns of which a ticket's number and code are made."""
TICKET = (
    f"id, order_id, student_id, status, traceparent, CAST(status_times AS text) AS path, refusal, {PICKUP}"
)
"""The columns that `to_ticket` reads."""
TICKET_VIEW = f"""id, order_id, student_id, status, version, CAST(lines AS text) AS lines, received_at, started_at, due_at,
    completed_at, collected_at, station, quoted_to, refusal, {PICKUP}"""
"""The columns that `to_view` reads."""

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
        pickup=pickup_of(row["number"], row["pickup_key"]),
        refusal=row["refusal"],
        traceparent=row["traceparent"],
    )


def to_view(row: Row | Mapping[str, Any]) -> kitchen.Ticket:
    """Return the ticket as the HTTP interface shows it."""
    shown: dict[str, Any] = dict(row)
    pickup = pickup_of(shown.pop("number"), shown.pop("pickup_key"))
    return kitchen.Ticket(
        **{
            **shown,
            "status": TicketStatus(row["status"]),
            "lines": _decode_lines(row["lines"]),
            "pickup": pickup,
        }
    )
