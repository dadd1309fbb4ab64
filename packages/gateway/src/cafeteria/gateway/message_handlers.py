"""The gateway's inbound messages: the kitchen's status events, delivery checks and pace, and stock's availability.

The gateway acknowledges a status event after the commit of the batch that holds it.
"""

from time import monotonic

from cafeteria.chassis.messaging.message_handlers import Handler, StreamConsumer, Subscription
from cafeteria.contracts.kitchen import Pace
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.stock import AvailabilityChanged
from cafeteria.contracts.subjects import (
    AVAILABILITY,
    GATEWAY_DELIVERY,
    GATEWAY_PROJECTION,
    KITCHEN_STATUS,
    PACE,
)
from cafeteria.gateway.tables import dead_letters
from cafeteria.gateway.use_cases import Service


async def check_delivery(service: Service, request: CheckDelivery) -> DeliveryStatus:
    return await service.check_delivery(request.items)


def update_availability(service: Service, event: AvailabilityChanged) -> None:
    service.availability.update(event, at_s=monotonic())


def update_pace(service: Service, pace: Pace) -> None:
    service.kitchen_pace.update(pace, at_s=monotonic())


HANDLERS: tuple[Handler[Service], ...] = (Handler(rpc=GATEWAY_DELIVERY, answer=check_delivery),)

SUBSCRIPTIONS: tuple[Subscription[Service], ...] = (
    # stock publishes all items each second, and each change at once
    Subscription(topic=AVAILABILITY, handle=update_availability),
    # the kitchen says its pace each second, and a pause at once
    Subscription(topic=PACE, handle=update_pace),
)

CONSUMERS: tuple[StreamConsumer[Service], ...] = (
    StreamConsumer(
        durable=GATEWAY_PROJECTION,
        topic=KITCHEN_STATUS,
        batcher=lambda service: service.project_statuses.batcher,
        lag=lambda service: service.status_lag,
        dead_letters=dead_letters,
    ),
)
