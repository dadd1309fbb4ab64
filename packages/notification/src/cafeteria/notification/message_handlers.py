"""Notification's inbound requests: delivery checks.

An ordered reader, one of the service's resources, reads the status events.
"""

from cafeteria.chassis.messaging.message_handlers import Handler
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.subjects import NOTIFICATION_DELIVERY
from cafeteria.notification.use_cases import Service


async def check_delivery(service: Service, request: CheckDelivery) -> DeliveryStatus:
    return await service.check_delivery(request.items)


HANDLERS: tuple[Handler[Service], ...] = (Handler(rpc=NOTIFICATION_DELIVERY, answer=check_delivery),)
