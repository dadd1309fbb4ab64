"""Encode a logged status as one block of a server-sent event stream (SSE), once for all streams that show it."""

from uuid import UUID

import msgspec

from cafeteria.contracts.notification import OrderStatusEvent
from cafeteria.notification.domain import LoggedStatus, place_of

_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True):
    """One block of a stream. `is_undelivered` is True if no stream had shown it when it was read from the log."""

    position: int
    order_id: UUID | None
    block: bytes
    is_undelivered: bool


HEARTBEAT = Event(0, None, b": still here\n\n", False)


def event_of(logged: LoggedStatus) -> Event:
    """Return the event `order.status` of a logged status."""
    data = OrderStatusEvent(
        order_id=logged.order_id,
        status=logged.status,
        version=logged.version,
        at=logged.at,
        reason=logged.reason,
        pickup=msgspec.UNSET if logged.pickup is None else logged.pickup,
    )
    event_id = place_of(logged.position, logged.logged_at).event_id
    block = b"id: %b\nevent: order.status\ndata: %b\n\n" % (event_id, _encode(data))
    return Event(logged.position, logged.order_id, block, not logged.is_delivered)
