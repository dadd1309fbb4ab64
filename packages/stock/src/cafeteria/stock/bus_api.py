"""The bus door: a refusal is an answer like any other; only what is undecided is answered with an error.

Whoever asks takes an error, like silence, for "unknown" and asks again with the same order id.
"""

from cafeteria.chassis.bus import Bus
from cafeteria.contracts.bus import RELEASE, RESERVE
from cafeteria.contracts.stock import ItemPrice, ReleaseStock, ReserveStock, StockDecided, StockReleased
from cafeteria.stock.domain import DecidedLine, Reservation
from cafeteria.stock.service import StockService


async def serve(bus: Bus, service: StockService) -> None:
    """Answer reserve and release from now on."""

    async def reserve(order: ReserveStock) -> StockDecided:
        return _decided(await service.reserve(order))

    async def release(order: ReleaseStock) -> StockReleased:
        return StockReleased(order_id=order.order_id, released_at=await service.release(order))

    await bus.serve(RESERVE, reserve)
    await bus.serve(RELEASE, release)


def _decided(reservation: Reservation) -> StockDecided:
    """Made of what is stored alone, so that a repeat years later is answered the same."""
    return StockDecided(
        order_id=reservation.order_id,
        decision=reservation.decision,
        reason=reservation.reason,
        items=tuple(price for line in reservation.lines if (price := _price(line)) is not None),
        refused_item_ids=tuple(line.item_id for line in reservation.lines if line.refused),
    )


def _price(line: DecidedLine) -> ItemPrice | None:
    """Nothing for an item that stock does not know."""
    if line.name is None or line.unit_price is None:
        return None
    return ItemPrice(item_id=line.item_id, name=line.name, unit_price=line.unit_price)
