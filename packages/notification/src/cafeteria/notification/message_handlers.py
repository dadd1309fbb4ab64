"""The bus doors: the stream of all status events, and the question whether one has been logged."""

from cafeteria.chassis.messaging import Bus
from cafeteria.contracts.subjects import NOTIFICATION_KNOWN
from cafeteria.notification.service import NotificationService


async def serve(bus: Bus, service: NotificationService) -> None:
    """Answer from now on, or from the first connection on."""
    await bus.serve(NOTIFICATION_KNOWN, service.known)
