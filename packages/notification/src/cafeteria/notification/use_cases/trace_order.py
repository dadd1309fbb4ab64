"""Trace an order: all that notification knows of it, for an operator. Reads only notification's own tables."""

from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.contracts.ops import OrderTrace
from cafeteria.contracts.subjects import NOTIFICATION
from cafeteria.notification.repository import trace_order


class TraceOrder:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, order_id: UUID) -> OrderTrace:
        """Return the facts by time; none for an order that was never heard of."""
        async with self._database.statement() as connection:
            facts = await trace_order.read_facts(connection, order_id)
        return OrderTrace(service=NOTIFICATION, order_id=order_id, facts=facts)
