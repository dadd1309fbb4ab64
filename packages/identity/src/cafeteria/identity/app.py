"""Identity's composition root: what it is made of, in the order in which it opens and, backwards, closes."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from litestar import Litestar

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database
from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.messaging import Bus
from cafeteria.contracts.identity import Jwks
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.identity.bus_api import answer_requests
from cafeteria.identity.http_api import ROUTES
from cafeteria.identity.keys import Keys
from cafeteria.identity.loops import retention
from cafeteria.identity.passwords import Passwords
from cafeteria.identity.service import Identity
from cafeteria.identity.settings import IdentitySettings


def create_app(settings: IdentitySettings) -> ServiceApp:
    """Read the keys, which may raise SigningKeyUnusable; all else opens in the lifespan."""
    keys = Keys.load(settings.signing_key_file, older_key_files=settings.older_key_files)
    database = Database.connect(settings, service=IDENTITY)
    bus = Bus(settings, service=IDENTITY)
    passwords = Passwords(
        threads=settings.hash_threads or _cores(),
        queue_limit=settings.hash_queue,
        niceness=settings.hash_niceness,
    )
    service = Identity(
        database=database.within(ANSWER_WITHIN_S), passwords=passwords, keys=keys, settings=settings
    )

    async def own_keys() -> Jwks:
        """Identity asks nobody which keys verify its tokens."""
        return service.jwks

    @asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        app.state.identity = service
        app.state.proxies = TrustedProxies(settings.trusted_networks())
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            await stack.enter_async_context(passwords.running())
            await stack.enter_async_context(bus)
            await answer_requests(bus, service)
            await stack.enter_async_context(retention(service))
            yield

    return build_app(
        service=IDENTITY,
        settings=settings,
        route_handlers=ROUTES,
        checks={"postgres": database.ping, "nats": bus.ping},
        lifespan=[running],
        keys=KeySource(own_keys),
    )


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
