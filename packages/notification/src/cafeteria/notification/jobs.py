"""What time starts: the streams' heartbeat and expiry, and the marks of delivery."""

from cafeteria.chassis.jobs import Loop
from cafeteria.chassis.runtime.clock import now
from cafeteria.notification.service import NotificationService
from cafeteria.notification.views import Hub

BEAT_EVERY_S = 1.0  # each stream's turn comes every HEARTBEAT_S of these
MARK_EVERY_S = 0.25  # at a thousand orders a second a mark then covers a thousand rows, and waits for nobody


def beat_streams(hub: Hub) -> Loop:
    async def tick() -> None:
        await hub.beat(now=now())

    return Loop("beat-streams", BEAT_EVERY_S, tick)


def mark_delivered(service: NotificationService) -> Loop:
    return Loop("mark-delivered", MARK_EVERY_S, service.mark_delivered)
