"""Notification, put together: what is opened, in which order, and who knows whom."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from litestar import Litestar

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.auth.jwks import keys_over
from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.dead_letters import DeadLetters
from cafeteria.chassis.messaging.ordered_reader import OrderedReader
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import NOTIFICATION, NOTIFICATION_STREAM
from cafeteria.notification import bus_api, loops
from cafeteria.notification.http_api import ROUTES
from cafeteria.notification.service import NotificationService
from cafeteria.notification.tables import dead_letters
from cafeteria.notification.views import Hub


def create_app(settings: ServiceSettings) -> ServiceApp:
    """Nothing is connected before the app starts, and neither server need be there when it does."""
    database = Database.connect(settings, service=NOTIFICATION)
    bus = Bus(settings, service=NOTIFICATION)
    readers: list[OrderedReader] = []

    async def check_reader() -> None:
        if not readers or readers[0].lag is None:
            raise Unavailable("the stream of status events is not being read")

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            service, reader = await _open_service(
                stack, database=database, bus=bus, closing=app.state.closing
            )
            app.state.service = service
            readers[:] = [reader]
            yield

    return build_app(
        service=NOTIFICATION,
        settings=settings,
        route_handlers=ROUTES,
        checks={"postgres": database.ping, "nats": bus.ping, "reader": check_reader},
        lifespan=[lifespan],
        keys=keys_over(bus),
    )


async def _open_service(
    stack: AsyncExitStack, *, database: Database, bus: Bus, closing: asyncio.Event
) -> tuple[NotificationService, OrderedReader]:
    """Closed in reverse: the reader finishes its batch, what streams have taken is marked, the bus falls silent."""
    hub = Hub()

    async def is_behind() -> bool:
        return await reader.is_behind()

    service = NotificationService(database, hub, DeadLetters(database, dead_letters), is_behind=is_behind)
    await stack.enter_async_context(bus)
    reader = OrderedReader(
        bus, NOTIFICATION_STREAM, begin=service.begin, take=service.take, rest=service.catch_up
    )
    await bus_api.serve(bus, service)
    await stack.enter_async_context(_closing_streams(hub, closing))
    await stack.enter_async_context(loops.mark_delivered(service))
    await stack.enter_async_context(loops.beat_streams(hub))
    await stack.enter_async_context(reader)
    return service, reader


@asynccontextmanager
async def _closing_streams(hub: Hub, closing: asyncio.Event) -> AsyncIterator[None]:
    """Ends the streams as soon as the process is told to stop: open ones would keep it from stopping."""

    async def wait_and_close() -> None:
        await closing.wait()
        hub.close_all()

    waiting = asyncio.create_task(wait_and_close(), name="close-streams")
    try:
        yield
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
