"""Enqueue: store one ticket for each order, however often and in whatever sequence its work arrives."""

from collections.abc import Callable, Sequence

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import tracing
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.kitchen import CancelTicket, CookOrder
from cafeteria.kitchen.domain import path_before_cooking
from cafeteria.kitchen.repository import tickets
from cafeteria.kitchen.repository.tickets import NewTicket


class Intake:
    """Stores tickets for new work. `on_queued` is called after the commit of a batch with new tickets."""

    def __init__(self, database: Database, *, on_queued: Callable[[], None]) -> None:
        self._database = database
        self._on_queued = on_queued

    async def take(self, work: Sequence[CookOrder]) -> None:
        """Enqueue in one statement, one commit. Work for an order with a ticket, cancelled or not, changes nothing."""
        new_tickets = [to_new_ticket(order) for order in work]
        async with self._database.statement() as connection:
            queued = await tickets.insert_tickets(connection, new_tickets, received_at=now())
        if queued:
            self._on_queued()


def to_new_ticket(order: CookOrder | CancelTicket) -> NewTicket:
    return NewTicket(
        order_id=order.order_id,
        student_id=order.student_id,
        lines=order.lines,
        path=path_before_cooking(order.earlier),
        traceparent=order.traceparent if isinstance(order, CookOrder) else tracing.current(),
    )
