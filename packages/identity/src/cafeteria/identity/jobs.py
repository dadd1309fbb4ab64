"""Identity's periodic job and its interval in seconds. Several replicas may run it at once: each skips locked rows."""

from cafeteria.chassis.jobs import Job
from cafeteria.identity.use_cases import Service

PURGE_EVERY_S = 3600.0  # expired rows only take space: no statement is slower for an hour of them

JOBS: tuple[Job[Service], ...] = (
    Job(name="purge-logins", every_s=PURGE_EVERY_S, run=lambda service: service.purge_logins.run()),
)
