"""Pack decisions into the reply to a reserve request: as many as fit, each encoded once."""

from collections.abc import Iterable
from typing import cast

import msgspec

from cafeteria.contracts.stock import MAX_REPLY_BYTES, ItemPrice, OrdersDecided, StockDecided
from cafeteria.stock.domain import DecidedLine, Reservation

_encode = msgspec.json.Encoder().encode
_FRAME_BYTES = len(_encode(OrdersDecided(decisions=())))


def reply_of(reservations: Iterable[Reservation]) -> OrdersDecided:
    """Return the first decisions that fit into MAX_REPLY_BYTES, each encoded once; one takes 15 KiB at most."""
    fitting: list[msgspec.Raw] = []
    size = _FRAME_BYTES
    for reservation in reservations:
        decision = _encode(_decided(reservation))
        size += len(decision) + len(",")
        if size > MAX_REPLY_BYTES:
            break
        fitting.append(msgspec.Raw(decision))
    return OrdersDecided(decisions=cast("tuple[StockDecided, ...]", tuple(fitting)))


def _decided(reservation: Reservation) -> StockDecided:
    """Build the decision from stored data alone, so that a repeat years later gets the same answer."""
    return StockDecided(
        order_id=reservation.order_id,
        decision=reservation.decision,
        reason=reservation.reason,
        items=tuple(price for line in reservation.lines if (price := _price(line)) is not None),
        refused_item_ids=tuple(line.item_id for line in reservation.lines if line.refused),
    )


def _price(line: DecidedLine) -> ItemPrice | None:
    """Return None for an item that stock does not know."""
    if line.name is None or line.unit_price is None:
        return None
    return ItemPrice(item_id=line.item_id, name=line.name, unit_price=line.unit_price)
