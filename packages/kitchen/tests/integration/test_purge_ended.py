"""Tickets that ended long ago are deleted with their history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import KITCHEN

if TYPE_CHECKING:
    from conftest import KitchenDatabase

_TICKETS = """
WITH tickets AS (
    INSERT INTO kitchen.kitchen_orders (id, order_id, student_id, status, version, lines, status_times, received_at,
        started_at, completed_at, collected_at, confirm_at, gateway_version, notified_version)
    SELECT uuidv7(CAST(age AS interval)), uuidv7(), name, status, version, '[]', '[]', now(),
        CASE WHEN status IN ('IN_KITCHEN', 'READY', 'COLLECTED') THEN now() END,
        CASE WHEN status IN ('READY', 'COLLECTED') THEN now() END,
        CASE WHEN status = 'COLLECTED' THEN now() END,
        CASE WHEN name = 'unconfirmed' THEN now() END, version, version
    FROM (VALUES ('collected', 'COLLECTED', 5, '-31 days'), ('ready', 'READY', 4, '-31 days'),
        ('cancelled', 'CANCELLED', 3, '-31 days'), ('cooking', 'IN_KITCHEN', 3, '-31 days'),
        ('queued', 'QUEUED', 2, '-31 days'), ('unconfirmed', 'READY', 4, '-31 days'), ('young', 'READY', 4, '-29 days')
    ) AS made (name, status, version, age)
    RETURNING id, status
)
INSERT INTO kitchen.order_status_history (id, kitchen_order_id, status, changed_at)
SELECT uuidv7(), id, status, now() FROM tickets WHERE status <> 'QUEUED'
"""


async def test_only_what_has_ended_and_is_confirmed_is_deleted(
    database: KitchenDatabase, service_settings: Callable[..., Any]
) -> None:
    await database.connection.execute(_TICKETS)
    own = Database.connect(service_settings(KITCHEN, ServiceSettings), service=KITCHEN)

    await PurgeEnded(own, days=30).run()
    await own.close()

    left = await database.connection.fetch("SELECT student_id FROM kitchen.kitchen_orders")
    assert {row["student_id"] for row in left} == {"cooking", "queued", "unconfirmed", "young"}
    assert await database.connection.fetchval("SELECT count(*) FROM kitchen.order_status_history") == 3
