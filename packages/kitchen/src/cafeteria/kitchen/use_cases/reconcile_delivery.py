"""Reconcile delivery: publish a ticket's status again until gateway and notification have it.

Only the latest status is published again, for its event carries the whole path.
"""

from collections.abc import Callable, Mapping

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging.outbox import Outbox
from cafeteria.chassis.messaging.reconciliation import Receiver, Reconciliation
from cafeteria.kitchen.repository import reconcile_delivery


def reconciliation(
    database: Database, outbox: Outbox, receivers: Mapping[str, Receiver], *, on_resent: Callable[[], None]
) -> Reconciliation:
    """Return the chassis's reconciliation over the kitchen's tickets."""
    return Reconciliation(
        database,
        outbox,
        receivers,
        find_due=reconcile_delivery.find_due,
        store=reconcile_delivery.store,
        on_resent=on_resent,
    )
