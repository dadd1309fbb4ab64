"""Identity's periodic jobs and their intervals in seconds. Several replicas may run them at once."""

from cafeteria.chassis.jobs import Job
from cafeteria.identity.use_cases import Service

PURGE_EVERY_S = 3600.0  # expired rows only take space: no statement is slower for an hour of them
REVOKE_EVERY_S = (
    1.0  # every service refuses an ended session within two seconds, also after it missed the first message
)

JOBS: tuple[Job[Service], ...] = (
    Job(name="purge-logins", every_s=PURGE_EVERY_S, run=lambda service: service.purge_logins.run()),
    Job(
        name="publish-revocations",
        every_s=REVOKE_EVERY_S,
        run=lambda service: service.revocations.publish(),
        wake=lambda service: service.revocations.wake,
    ),
)
