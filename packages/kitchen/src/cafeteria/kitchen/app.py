"""Build the kitchen service: it opens the service's resources in order and connects its parts."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from litestar import Litestar

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.auth.jwks import keys_over
from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database
from cafeteria.chassis.messaging import Bus, Consumer
from cafeteria.chassis.messaging.dead_letters import DeadLetters
from cafeteria.chassis.messaging.outbox import Outbox
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.contracts import subjects
from cafeteria.kitchen import bus_api, tables
from cafeteria.kitchen.http_api import ROUTES
from cafeteria.kitchen.loops import CookLoop, confirm_loop
from cafeteria.kitchen.peers import Peers
from cafeteria.kitchen.service.board import Board
from cafeteria.kitchen.service.cancelling import Cancelling
from cafeteria.kitchen.service.confirming import Confirming
from cafeteria.kitchen.service.cooking import Cooking, prep_between
from cafeteria.kitchen.service.intake import Intake
from cafeteria.kitchen.service.pressing import Pressing
from cafeteria.kitchen.settings import KitchenSettings


def create_app(settings: KitchenSettings) -> ServiceApp:
    """Build the app. It opens its connections when its lifespan begins."""
    database = Database.connect(settings, service=subjects.KITCHEN)
    bus = Bus(settings, service=subjects.KITCHEN)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            await _open(_Servers(database=database, bus=bus), settings, app=app, stack=stack)
            yield

    return build_app(
        service=subjects.KITCHEN,
        settings=settings,
        route_handlers=ROUTES,
        checks={"postgres": database.ping, "nats": bus.ping},
        lifespan=[lifespan],
        keys=keys_over(bus),
    )


class _Servers(msgspec.Struct, frozen=True, kw_only=True):
    database: Database
    bus: Bus


async def _open(
    servers: _Servers, settings: KitchenSettings, *, app: Litestar, stack: AsyncExitStack
) -> None:
    """Open the service. It closes in reverse: it accepts no more work, commits accepted work, relays its events."""
    database, bus = servers.database, servers.bus
    await stack.enter_async_context(bus)
    outbox = Outbox(tables.outbox)
    relay = await stack.enter_async_context(Relay(database, bus, outbox, service=subjects.KITCHEN))
    peers = Peers(bus)

    confirming = Confirming(
        database, outbox, peers, on_resent=relay.wake, is_closing=app.state.closing.is_set
    )
    await stack.enter_async_context(confirm_loop(confirming))
    intake = Intake(database, on_queued=lambda: None)
    if settings.cooks_by_itself:
        cook = await stack.enter_async_context(_cook_loop(database, relay, settings=settings))
        intake = Intake(database, on_queued=cook.wake)

    batcher = await stack.enter_async_context(bus_api.work_group(intake))
    consumer = Consumer(
        bus, subjects.KITCHEN_WORK, subjects.WORK_PLACED, batcher, DeadLetters(database, tables.dead_letters)
    )
    await stack.enter_async_context(consumer)

    request_database = database.within(ANSWER_WITHIN_S)
    app.state.board = board = Board(
        request_database,
        stations=settings.stations if settings.cooks_by_itself else None,
        is_behind=consumer.is_behind,
    )
    app.state.pressing = Pressing(
        request_database, cooks_by_itself=settings.cooks_by_itself, on_moved=relay.wake
    )
    cancelling = Cancelling(database, on_moved=relay.wake)
    cancels = await stack.enter_async_context(bus_api.cancel_group(cancelling))
    await bus_api.serve(bus, cancels=cancels, board=board)


def _cook_loop(database: Database, relay: Relay, *, settings: KitchenSettings) -> CookLoop:
    return CookLoop(
        Cooking(
            database,
            stations=settings.stations,
            prep_s=prep_between(settings.prep_min_s, settings.prep_max_s),
            on_moved=relay.wake,
        )
    )
