"""Messages as a door: whom the gateway answers, and what it hears."""

from time import monotonic

from cafeteria.chassis.bus import Bus, Consumer
from cafeteria.chassis.dead_letters import DeadLetters
from cafeteria.chassis.group_commit import GroupCommit
from cafeteria.contracts import bus
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.stock import AvailabilityChanged
from cafeteria.gateway.service.project_status import DeliveryCheck
from cafeteria.gateway.views import AvailabilityView


async def answer_known(connection: Bus, check: DeliveryCheck) -> None:
    """The kitchen asks which of its events have arrived."""
    await connection.serve(bus.GATEWAY_KNOWN, check.answer)


async def hear_availability(connection: Bus, view: AvailabilityView) -> None:
    """Stock says each second what is left, and each change at once."""

    def take(heard: AvailabilityChanged) -> None:
        view.take(heard, at_s=monotonic())

    await connection.subscribe(bus.AVAILABILITY, take)


def projection_consumer(
    connection: Bus, group: GroupCommit[OrderStatusChanged, None], dead_letters: DeadLetters
) -> Consumer[OrderStatusChanged]:
    """The kitchen's status events, shared by all replicas, acknowledged after their commit."""
    return Consumer(connection, bus.GATEWAY_PROJECTION, bus.KITCHEN_STATUS, group, dead_letters)
