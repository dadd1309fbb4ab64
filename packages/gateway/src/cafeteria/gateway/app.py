"""The composition root: builds the gateway's parts, connects them, and opens and closes them in order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import msgspec
from litestar import Litestar

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.auth.jwks import keys_over
from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.dead_letters import DeadLetters
from cafeteria.chassis.messaging.outbox import Outbox
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.subjects import GATEWAY, KITCHEN_KNOWN, NOTIFICATION_KNOWN
from cafeteria.gateway import bus_api, loops, tables
from cafeteria.gateway.http_api import ROUTES
from cafeteria.gateway.peers import Kitchen, Receiver, Stock
from cafeteria.gateway.service import Gateway
from cafeteria.gateway.service.admission import Admission
from cafeteria.gateway.service.cancel_order import CancelOrder
from cafeteria.gateway.service.confirm import Confirmation
from cafeteria.gateway.service.decide import Decider
from cafeteria.gateway.service.mend import RetryPending, Unreleased
from cafeteria.gateway.service.place_order import Intake, PlaceOrder
from cafeteria.gateway.service.project_status import DeliveryCheck, Projection
from cafeteria.gateway.service.read_orders import ReadOrders
from cafeteria.gateway.settings import GatewaySettings
from cafeteria.gateway.views import AvailabilityView, Backlog

CARRY_EVERY_S = 0.1  # the kitchen's work can wait that long, and an order costs 4 % less than at once
EVENTS_IN_A_COMMIT = 1_024
EVENTS_WAITING = (
    8_192  # above what the consumer pulls at once, sixteen messages of 256 events: none is refused
)
MENU_AWAITED_S = 5.0  # stock publishes all items each second; without them, each order asks stock


def create_app(settings: GatewaySettings) -> ServiceApp:
    """Build the app. It connects when it starts, and starts without Postgres and NATS too."""
    parts = _Parts(
        settings=settings,
        database=Database.connect(settings, service=GATEWAY, pool_size=settings.pool_size),
        bus=Bus(settings, service=GATEWAY),
        outbox=Outbox(tables.outbox),
        availability=AvailabilityView(),
        backlog=Backlog(),
    )

    async def check_menu() -> None:
        if not parts.availability.is_complete and monotonic() < app.state.menu_awaited_until_s:
            raise Unavailable("stock has not published yet what is left")

    def shed_load() -> None:
        app.state.gateway.admission.check()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.menu_awaited_until_s = monotonic() + MENU_AWAITED_S
        async with AsyncExitStack() as stack:
            stack.push_async_callback(parts.database.close)
            app.state.gateway = await _open(parts, stack)
            yield

    app = build_app(
        service=GATEWAY,
        settings=settings,
        route_handlers=ROUTES,
        checks={"postgres": parts.database.ping, "nats": parts.bus.ping, "menu": check_menu},
        lifespan=[lifespan],
        keys=keys_over(parts.bus),
        shed_load=shed_load,
    )
    return app


class _Parts(msgspec.Struct, frozen=True, kw_only=True):
    settings: GatewaySettings
    database: Database
    bus: Bus
    outbox: Outbox
    availability: AvailabilityView
    backlog: Backlog


async def _open(parts: _Parts, stack: AsyncExitStack) -> Gateway:
    """Open the parts. `stack` closes them in reverse: intake ends, queued orders settle, the relay publishes."""
    database, bus = parts.database, parts.bus
    awaited = database.within(ANSWER_WITHIN_S)
    await stack.enter_async_context(bus)
    relay = await stack.enter_async_context(
        Relay(database, bus, parts.outbox, service=GATEWAY, every_s=CARRY_EVERY_S)
    )
    decider = await stack.enter_async_context(
        Decider(database=database, stock=Stock(bus), relay=relay, backlog=parts.backlog)
    )
    intake = await stack.enter_async_context(
        Intake(
            database=database,
            decider=decider,
            backlog=parts.backlog,
            queue_limit=parts.settings.queue_limit,
        )
    )
    projection = await _open_projection(parts, stack)
    await _open_loops(parts, stack, decider=decider, relay=relay)
    await bus_api.hear_availability(bus, parts.availability)
    return Gateway(
        admission=Admission(
            intake=intake, backlog=parts.backlog, relay=relay, limit=parts.settings.pending_limit
        ),
        place_order=PlaceOrder(
            intake=intake,
            decider=decider,
            availability=parts.availability,
        ),
        cancel_order=CancelOrder(
            database=awaited, decider=decider, kitchen=Kitchen(bus), projection=projection
        ),
        read_orders=ReadOrders(database=awaited, availability=parts.availability),
    )


async def _open_projection(parts: _Parts, stack: AsyncExitStack) -> Projection:
    release = await stack.enter_async_context(
        loops.release_loop(Unreleased(database=parts.database, stock=Stock(parts.bus)))
    )
    projection = Projection(database=parts.database, release=release)
    group = await stack.enter_async_context(
        GroupCommit(
            "gateway-projection",
            projection.commit,
            batch_limit=EVENTS_IN_A_COMMIT,
            queue_limit=EVENTS_WAITING,
        )
    )
    dead_letters = DeadLetters(parts.database, tables.dead_letters)
    consumer = bus_api.projection_consumer(parts.bus, group, dead_letters)
    await stack.enter_async_context(consumer)
    await bus_api.answer_known(
        parts.bus, DeliveryCheck(database=parts.database, is_behind=consumer.is_behind)
    )
    return projection


async def _open_loops(parts: _Parts, stack: AsyncExitStack, *, decider: Decider, relay: Relay) -> None:
    retry_pending = RetryPending(
        database=parts.database, outbox=parts.outbox, decider=decider, relay=relay, backlog=parts.backlog
    )
    confirmation = Confirmation(
        database=parts.database,
        outbox=parts.outbox,
        kitchen=Receiver(parts.bus, KITCHEN_KNOWN),
        notification=Receiver(parts.bus, NOTIFICATION_KNOWN),
        relay=relay,
    )
    for loop in (
        loops.retry_pending_loop(retry_pending),
        loops.count_loop(retry_pending, pending_limit=parts.settings.pending_limit),
        loops.confirm_loop(confirmation),
        loops.forget_loop(parts.database),
    ):
        await stack.enter_async_context(loop)
