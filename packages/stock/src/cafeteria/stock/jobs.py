"""Stock's periodic jobs and their intervals in seconds: publish availability, and purge old operations.

Every job is safe on several replicas at once: the highest version of an item is its newest, and a purge passes over rows
that another replica has locked.
"""

from cafeteria.chassis.jobs import Job
from cafeteria.stock.use_cases import Service

PUBLISH_ALL_EVERY_S = 1.0  # gateways treat an entry older than 3 s as unknown: two messages may be lost
PUBLISH_CHANGES_EVERY_S = 5.0  # a change wakes the job earlier; this is the pace without changes
PURGE_EVERY_S = 3600.0

JOBS: tuple[Job[Service], ...] = (
    Job(
        name="publish-availability",
        every_s=PUBLISH_ALL_EVERY_S,
        run=lambda service: service.publish_availability.publish_all(),
    ),
    Job(
        name="purge-operations",
        every_s=PURGE_EVERY_S,
        run=lambda service: service.purge_operations(),
    ),
    Job(
        name="publish-changes",
        every_s=PUBLISH_CHANGES_EVERY_S,
        run=lambda service: service.publish_availability.publish_changes(),
        wake=lambda service: service.publish_availability.wake,
    ),
    Job(
        name="purge-ended",
        every_s=PURGE_EVERY_S,
        run=lambda service: service.purge_ended.run(),
        is_needed=lambda service: service.settings.keep_days > 0,
    ),
)
