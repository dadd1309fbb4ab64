"""Notification's periodic jobs and their intervals in seconds."""

from cafeteria.chassis.jobs import Job
from cafeteria.notification.use_cases import Service

KEEP_ALIVE_EVERY_S = (
    1.0  # a run sends heartbeats to a fifteenth of the streams: each gets one every HEARTBEAT_S
)
MARK_EVERY_S = 0.25  # at a thousand orders a second a run marks a thousand rows, and nothing waits for it
BROADCAST_EVERY_S = 1.0  # while no stream shows the canteen; then each turn says when the next one is
PURGE_EVERY_S = 3600.0

JOBS: tuple[Job[Service], ...] = (
    Job(name="mark-delivered", every_s=MARK_EVERY_S, run=lambda service: service.mark_delivered.run()),
    Job(
        name="keep-streams-alive",
        every_s=KEEP_ALIVE_EVERY_S,
        run=lambda service: service.follow_events.keep_alive(),
    ),
    Job(
        name="broadcast-canteen",
        every_s=BROADCAST_EVERY_S,
        run=lambda service: service.canteen_broadcast.run(),
        wake=lambda service: service.canteen_broadcast.wake,
    ),
    Job(
        name="purge-ended",
        every_s=PURGE_EVERY_S,
        run=lambda service: service.purge_ended.run(),
        is_needed=lambda service: service.settings.keep_days > 0,
    ),
)
