"""Notification's inbound messages: delivery checks, sessions that have ended, what is left, and the kitchen's pace.

An ordered reader, one of the service's resources, reads the status events.
"""

import asyncio

from cafeteria.chassis.messaging.message_handlers import Handler, Subscription
from cafeteria.contracts.identity import SessionsRevoked
from cafeteria.contracts.kitchen import Pace
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.stock import AvailabilityChanged
from cafeteria.contracts.subjects import AVAILABILITY, NOTIFICATION_DELIVERY, PACE, SESSIONS_REVOKED
from cafeteria.notification.use_cases import Service


async def check_delivery(service: Service, request: CheckDelivery) -> DeliveryStatus:
    return await service.check_delivery(request.items)


def end_streams(service: Service, event: SessionsRevoked) -> None:
    service.follow_events.end_sessions(event.revocations)


def hear_availability(service: Service, event: AvailabilityChanged) -> None:
    service.canteen.hear_availability(event, at_s=asyncio.get_running_loop().time())


def hear_pace(service: Service, event: Pace) -> None:
    service.canteen.hear_pace(event, at_s=asyncio.get_running_loop().time())


HANDLERS: tuple[Handler[Service], ...] = (Handler(rpc=NOTIFICATION_DELIVERY, answer=check_delivery),)

SUBSCRIPTIONS: tuple[Subscription[Service], ...] = (
    # identity repeats each end every second: a stream that opens at the same moment ends with the next message
    Subscription(topic=SESSIONS_REVOKED, handle=end_streams),
    # hints, repeated every second: a lost one is told late
    Subscription(topic=AVAILABILITY, handle=hear_availability),
    Subscription(topic=PACE, handle=hear_pace),
)
