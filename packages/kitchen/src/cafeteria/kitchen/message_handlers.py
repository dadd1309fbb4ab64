"""The kitchen's inbound messages: cook commands from the stream, cancel requests, and delivery checks.

The kitchen acknowledges a cook command after the commit of the batch that holds it, and answers a request after its commit.
"""

from cafeteria.chassis.messaging.message_handlers import Handler, StreamConsumer
from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.subjects import CANCEL, KITCHEN_DELIVERY, KITCHEN_WORK, WORK_PLACED
from cafeteria.kitchen.tables import dead_letters
from cafeteria.kitchen.use_cases import Service


async def cancel_ticket(service: Service, request: CancelTicket) -> CancelAnswered:
    return await service.cancel_tickets.batcher.submit(request)


async def check_delivery(service: Service, request: CheckDelivery) -> DeliveryStatus:
    return await service.check_delivery(request.items)


HANDLERS: tuple[Handler[Service], ...] = (
    Handler(rpc=CANCEL, answer=cancel_ticket),
    Handler(rpc=KITCHEN_DELIVERY, answer=check_delivery),
)

CONSUMERS: tuple[StreamConsumer[Service], ...] = (
    StreamConsumer(
        durable=KITCHEN_WORK,
        topic=WORK_PLACED,
        batcher=lambda service: service.enqueue_tickets.batcher,
        lag=lambda service: service.work_lag,
        dead_letters=dead_letters,
    ),
)
