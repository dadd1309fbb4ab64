"""Build the stock service: it opens the service's resources in order and connects its parts."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from litestar import Litestar

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.auth.jwks import keys_over
from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import STOCK
from cafeteria.stock import bus_api, loops
from cafeteria.stock.http_api import ROUTES
from cafeteria.stock.peers import Listeners
from cafeteria.stock.service import BATCH_LIMIT, OrderBook, StockService
from cafeteria.stock.views import ChangedItems

POOL_SIZE = 4  # one batch at a time, one read of all items, and a few operators


def create_app(settings: ServiceSettings) -> ServiceApp:
    """Build the app. It connects when it starts, and starts even when Postgres and NATS are unavailable."""
    database = Database.connect(settings, service=STOCK, pool_size=POOL_SIZE)
    bus = Bus(settings, service=STOCK)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            app.state.service = await _open_service(stack, database=database, bus=bus)
            yield

    return build_app(
        service=STOCK,
        settings=settings,
        route_handlers=ROUTES,
        checks={"postgres": database.ping, "nats": bus.ping},
        lifespan=[lifespan],
        keys=keys_over(bus),
    )


async def _open_service(stack: AsyncExitStack, *, database: Database, bus: Bus) -> StockService:
    """Open the service. It closes in reverse: the jobs stop, the bus answers accepted requests, the last batch commits."""
    changed = ChangedItems()
    book = OrderBook(database, changed)
    group = await stack.enter_async_context(
        GroupCommit("stock-decisions", book.commit, batch_limit=BATCH_LIMIT)
    )
    await stack.enter_async_context(bus)
    service = StockService(
        database=database.within(ANSWER_WITHIN_S), group=group, changed=changed, listeners=Listeners(bus)
    )
    await bus_api.serve(bus, service)
    await stack.enter_async_context(loops.tell_everything(service))
    await stack.enter_async_context(loops.purge(service))
    changes = await stack.enter_async_context(loops.tell_changes(service))
    changed.when_noted = changes.wake
    return service
