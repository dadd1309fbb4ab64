"""Reconcile delivery: publish an order's messages again until kitchen and notification have them.

After the kitchen's first event the kitchen checks instead: its events carry the gateway's states.
"""

from collections.abc import Callable, Mapping

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging.outbox import Outbox
from cafeteria.chassis.messaging.reconciliation import Receiver, Reconciliation
from cafeteria.gateway.repository import reconcile_delivery


def reconciliation(
    database: Database, outbox: Outbox, receivers: Mapping[str, Receiver], *, on_resent: Callable[[], None]
) -> Reconciliation:
    """Return the chassis's reconciliation over the gateway's orders."""
    return Reconciliation(
        database,
        outbox,
        receivers,
        find_due=reconcile_delivery.find_due,
        store=reconcile_delivery.store,
        on_resent=on_resent,
    )
