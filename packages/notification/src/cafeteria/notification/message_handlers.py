"""Notification's inbound messages: delivery checks, and sessions that have ended.

An ordered reader, one of the service's resources, reads the status events.
"""

from cafeteria.chassis.messaging.message_handlers import Handler, Subscription
from cafeteria.contracts.identity import SessionsRevoked
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.subjects import NOTIFICATION_DELIVERY, SESSIONS_REVOKED
from cafeteria.notification.use_cases import Service


async def check_delivery(service: Service, request: CheckDelivery) -> DeliveryStatus:
    return await service.check_delivery(request.items)


def end_streams(service: Service, event: SessionsRevoked) -> None:
    service.follow_events.end_sessions(event.revocations)


HANDLERS: tuple[Handler[Service], ...] = (Handler(rpc=NOTIFICATION_DELIVERY, answer=check_delivery),)

SUBSCRIPTIONS: tuple[Subscription[Service], ...] = (
    # identity repeats each end every second: a stream that opens at the same moment ends with the next message
    Subscription(topic=SESSIONS_REVOKED, handle=end_streams),
)
