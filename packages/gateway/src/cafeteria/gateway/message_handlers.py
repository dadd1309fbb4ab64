"""Inbound messages: the requests that the gateway answers, and the events that it consumes."""

from time import monotonic

from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging import Bus, Consumer
from cafeteria.chassis.messaging.dead_letters import DeadLetters
from cafeteria.contracts import subjects
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.stock import AvailabilityChanged
from cafeteria.gateway.service.project_status import DeliveryCheck
from cafeteria.gateway.views import AvailabilityView


async def answer_known(connection: Bus, check: DeliveryCheck) -> None:
    """Answer the kitchen's requests for which of its events are missing here."""
    await connection.serve(subjects.GATEWAY_KNOWN, check.answer)


async def hear_availability(connection: Bus, view: AvailabilityView) -> None:
    """Keep `view` up to date: stock publishes all items each second, and each change at once."""

    def update(event: AvailabilityChanged) -> None:
        view.take(event, at_s=monotonic())

    await connection.subscribe(subjects.AVAILABILITY, update)


def projection_consumer(
    connection: Bus, group: GroupCommit[OrderStatusChanged, None], dead_letters: DeadLetters
) -> Consumer[OrderStatusChanged]:
    """Consumes the kitchen's status events, shared by all replicas; acknowledges them after their commit."""
    return Consumer(connection, subjects.GATEWAY_PROJECTION, subjects.KITCHEN_STATUS, group, dead_letters)
