"""The kitchen's periodic jobs and their intervals in seconds. (The relay is in the chassis.)

They cost next to nothing at rest: new work and the next due time start the cook job early, and its poll every two seconds only
finds tickets that a replica left behind when it died. The pace is one statement a second.
"""

from cafeteria.chassis.jobs import Job
from cafeteria.kitchen.use_cases import Service
from cafeteria.kitchen.use_cases.cook_tickets import POLL_S

PACE_EVERY_S = 1.0  # readers treat a pace older than 3 s as unknown: two messages may be lost
RECONCILE_EVERY_S = 2.0
PURGE_EVERY_S = 3600.0

JOBS: tuple[Job[Service], ...] = (
    Job(
        name="cook",
        every_s=POLL_S,
        run=lambda service: service.cook_tickets.run(),
        wake=lambda service: service.cook_tickets.wake,
        is_needed=lambda service: service.settings.cooks_by_itself,
    ),
    Job(
        name="publish-pace",
        every_s=PACE_EVERY_S,
        run=lambda service: service.publish_pace(),
        wake=lambda service: service.publish_pace.wake,
    ),
    Job(
        name="reconcile-delivery",
        every_s=RECONCILE_EVERY_S,
        run=lambda service: service.reconcile_delivery.run(),
    ),
    Job(
        name="purge-ended",
        every_s=PURGE_EVERY_S,
        run=lambda service: service.purge_ended.run(),
        is_needed=lambda service: service.settings.keep_days > 0,
    ),
)
