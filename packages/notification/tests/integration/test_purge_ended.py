"""Old rows of the log are deleted, but those of open orders; positions go on after the last one."""

from collections.abc import Callable
from typing import Any

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import NOTIFICATION
from cafeteria.testkit.servers import FixtureServers

_LOG = """
INSERT INTO notification.notifications (id, order_id, student_id, status_sent, sent_at, version, position, status_at)
SELECT uuidv7(CAST(age AS interval)), CAST(order_id AS uuid), name, 'PENDING', now(), 1, position, now()
FROM (VALUES ('old', '-31 days', 1, '00000000-0000-7000-8000-000000000001'),
    ('open', '-31 days', 2, '00000000-0000-7000-8000-000000000002'),
    ('young', '-29 days', 3, '00000000-0000-7000-8000-000000000003')) AS made (name, age, position, order_id)
"""
_OPEN = "INSERT INTO notification.open_orders VALUES ('00000000-0000-7000-8000-000000000002', 'open')"


async def test_only_old_rows_of_ended_orders_are_deleted(
    clean: None, servers: FixtureServers, service_settings: Callable[..., Any]
) -> None:
    own = Database.connect(service_settings(NOTIFICATION, ServiceSettings), service=NOTIFICATION)
    async with servers.database_as_admin() as admin:
        await admin.execute(_LOG)
        await admin.execute(_OPEN)
        counter = await admin.fetchrow("SELECT * FROM notification.position_counter")

        await PurgeEnded(own, days=30).run()
        await own.close()

        left = await admin.fetch("SELECT student_id FROM notification.notifications ORDER BY position")
        assert [row["student_id"] for row in left] == ["open", "young"]
        assert await admin.fetchrow("SELECT * FROM notification.position_counter") == counter
