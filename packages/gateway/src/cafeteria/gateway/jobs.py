"""The gateway's periodic jobs and their intervals in seconds. (The relay is in the chassis.)

At rest each is one read of a partial index of unfinished orders.
"""

from cafeteria.chassis.jobs import Job
from cafeteria.gateway.use_cases import Service

RETRY_PENDING_EVERY_S = 1.0  # an order is first due after two seconds
COUNT_PENDING_EVERY_S = 1.0  # load shedding adjusts the number itself in between
RECONCILE_EVERY_S = 2.0
RELEASE_EVERY_S = 1.0  # for orders that stock did not answer for; a cancellation wakes the job
PURGE_EVERY_S = 3600.0

JOBS: tuple[Job[Service], ...] = (
    Job(
        name="retry-pending",
        every_s=RETRY_PENDING_EVERY_S,
        run=lambda service: service.retry_pending.run(),
    ),
    Job(
        name="count-pending",
        every_s=COUNT_PENDING_EVERY_S,
        run=lambda service: service.count_pending.run(),
    ),
    Job(
        name="reconcile-delivery",
        every_s=RECONCILE_EVERY_S,
        run=lambda service: service.reconcile_delivery.run(),
    ),
    Job(
        name="release-cancelled",
        every_s=RELEASE_EVERY_S,
        run=lambda service: service.release_cancelled.run(),
        wake=lambda service: service.release_cancelled.wake,
    ),
    Job(name="purge-keys", every_s=PURGE_EVERY_S, run=lambda service: service.purge_keys.run()),
    Job(
        name="purge-ended",
        every_s=PURGE_EVERY_S,
        run=lambda service: service.purge_ended.run(),
        is_needed=lambda service: service.settings.keep_days > 0,
    ),
)
