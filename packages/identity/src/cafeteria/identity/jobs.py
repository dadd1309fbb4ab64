"""What identity does by itself: once an hour it forgets what can matter to nobody any more."""

from cafeteria.chassis.jobs import Loop
from cafeteria.identity.service import Identity

RETENTION_EVERY_S = 3600.0


def retention(service: Identity) -> Loop:
    """Safe on several replicas at once: each deletes what the others have not locked."""
    return Loop("retention", every_s=RETENTION_EVERY_S, tick=service.sweep)
