"""A service is built from parts and declarations: this file opens the parts, serves the declarations, and closes both.

A service's `app.py` builds the parts; `http_api.py`, `message_handlers.py` and `jobs.py` hold the declarations. Nothing is
opened before the app starts, and an app starts while Postgres and NATS are unavailable.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
from litestar import Litestar
from litestar.types import ControllerRouterHandler

from cafeteria.chassis.app import AppContext, Lifespan, ServiceApp, build_app
from cafeteria.chassis.auth.jwks import KeySource, keys_over
from cafeteria.chassis.database.database import Database
from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.jobs import Job
from cafeteria.chassis.messaging.bus import Bus
from cafeteria.chassis.messaging.message_handlers import Handler, StreamConsumer, Subscription
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.ops import OwnFigures
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import SESSIONS_REVOKED


class ServiceParts(msgspec.Struct, frozen=True, kw_only=True):
    """What every service has; its own struct `Service` adds the use cases.

    `resources` are opened in order before the first message arrives, and closed in reverse after the last one: the relay,
    the group commits, a reader. `keys` verify tokens; without them, keys and ended sessions come from identity over the bus.
    `proxies` find the client of a request; without them those of CAFETERIA_TRUSTED_PROXIES. `closing` is set as soon
    as the process has to stop.
    """

    settings: ServiceSettings
    database: Database
    bus: Bus
    resources: tuple[AbstractAsyncContextManager[Any], ...] = ()
    keys: KeySource | None = None
    proxies: TrustedProxies | None = None
    closing: asyncio.Event = msgspec.field(default_factory=asyncio.Event)


Settings = TypeVar("Settings", bound=ServiceSettings)
Service = TypeVar("Service", bound=ServiceParts)


def _accept_all(_: object) -> None:
    """Shed no load."""


class Declarations(msgspec.Struct, Generic[Service], frozen=True, kw_only=True):
    """What a service offers and does by itself. Each function here gets the service as its first argument.

    `checks` are further dependencies of readiness beside Postgres and NATS. The request boundary calls `shed_load` for the
    routes whose `opt` is SHEDS_LOAD; it raises Overloaded. With `logs_clients` every request's line names its client.
    `figures` are what the operator's page shows of this service alone.
    """

    routes: Sequence[ControllerRouterHandler]
    handlers: Sequence[Handler[Service]] = ()
    consumers: Sequence[StreamConsumer[Service]] = ()
    subscriptions: Sequence[Subscription[Service]] = ()
    jobs: Sequence[Job[Service]] = ()
    checks: Mapping[str, Callable[[Service], Awaitable[None]]] = msgspec.field(default_factory=dict)
    shed_load: Callable[[Service], None] = _accept_all
    logs_clients: bool = False
    figures: OwnFigures = msgspec.field(default_factory=OwnFigures)


def service_app(
    build: Callable[[Settings], Service], settings: Settings, declared: Declarations[Service]
) -> ServiceApp:
    """Build a service and its app, whose state holds the service as `service`. `build` opens nothing."""
    registry = metrics.app_registry()
    service = metrics.built_in(registry, build, settings)
    keys = service.keys or keys_over(service.bus)
    checks = {name: partial(check, service) for name, check in declared.checks.items()}
    return build_app(
        service=service.bus.service,
        settings=settings,
        route_handlers=declared.routes,
        checks={"postgres": service.database.ping, "nats": service.bus.ping, **checks},
        lifespan=[_lifespan(service, declared, keys)],
        keys=keys,
        shed_load=partial(declared.shed_load, service),
        context=AppContext(
            registry=registry,
            closing=service.closing,
            service=service,
            proxies=service.proxies,
            logs_clients=declared.logs_clients,
            figures=declared.figures,
        ),
    )


def _lifespan(service: Service, declared: Declarations[Service], keys: KeySource) -> Lifespan:
    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _open(service, declared, stack)
            if service.keys is None:
                await service.bus.subscribe(SESSIONS_REVOKED, keys.revoked.receive)
            yield

    return running


async def _open(service: Service, declared: Declarations[Service], stack: AsyncExitStack) -> None:
    """Open everything. It closes in reverse: jobs stop, accepted messages are handled, batches commit, the relay publishes."""
    bus = service.bus
    stack.push_async_callback(service.database.close)
    await stack.enter_async_context(bus)
    for resource in service.resources:
        await stack.enter_async_context(resource)
    stack.push_async_callback(bus.stop_serving)
    for handler in declared.handlers:
        serve = bus.serve_items if handler.takes_items else bus.serve
        await serve(handler.rpc, partial(handler.answer, service))
    for subscription in declared.subscriptions:
        await bus.subscribe(subscription.topic, partial(subscription.handle, service))
    for consumer in declared.consumers:
        await stack.enter_async_context(consumer.of(service, bus=bus, database=service.database))
    for job in declared.jobs:
        if job.is_needed(service):
            await stack.enter_async_context(job.runner(service))
