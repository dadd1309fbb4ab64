"""Answer reserve and release requests. A refusal is a decision; the reply leaves out an order that is undecided.

The gateway treats an error, silence and a missing decision alike as "unknown", and retries with the same order id.
"""

from collections.abc import Sequence

from cafeteria.chassis.messaging.message_handlers import Handler
from cafeteria.contracts.stock import OrdersDecided, ReleaseStock, ReserveStock, StockReleased
from cafeteria.contracts.subjects import RELEASE, RESERVE
from cafeteria.stock.reserve_reply import reply_of
from cafeteria.stock.use_cases import Service


async def reserve(service: Service, orders: Sequence[ReserveStock]) -> OrdersDecided:
    return reply_of(await service.decide_reservations.reserve(orders))


async def release(service: Service, order: ReleaseStock) -> StockReleased:
    released_at = await service.decide_reservations.release(order)
    return StockReleased(order_id=order.order_id, released_at=released_at)


HANDLERS: tuple[Handler[Service], ...] = (
    Handler(rpc=RESERVE, answer=reserve, takes_items=True),
    Handler(rpc=RELEASE, answer=release),
)
