"""A logged status stores when a stream first showed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cafeteria.contracts.values import OrderStatus
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import MakeOrder, Notification


PENDING = OrderStatus.PENDING


async def test_a_status_is_marked_once_a_stream_has_shown_it(
    notification: Notification, make_order: MakeOrder
) -> None:
    live, missed = make_order(), make_order("210041102")

    async def undelivered() -> list[Any]:
        rows = await notification.database.fetch(
            "SELECT student_id FROM notification.notifications WHERE delivered_at IS NULL"
        )
        return [row["student_id"] for row in rows]

    async with notification.watch() as watcher:
        await notification.publish(missed.enters(PENDING), live.enters(PENDING))
        await until(lambda: watcher.events)

        async def only_the_missed() -> bool:
            return await undelivered() == [missed.student_id]

        await until(only_the_missed)
    async with notification.watch(student_id=missed.student_id) as late:
        await until(lambda: late.events)

        async def none() -> bool:
            return not await undelivered()

        await until(none)
