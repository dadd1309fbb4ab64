"""The health endpoints: whether the process lives, and whether its dependencies answer.

Liveness touches nothing: a process that only lost its database must not be restarted for it. Readiness runs all
checks at once, each under a time limit, and shows each dependency's state by name; never a secret.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec

from cafeteria.chassis.runtime.errors import ServiceError
from cafeteria.contracts.ops import Health

CHECK_LIMIT_S = 1.0
"""A dependency that takes longer counts as unavailable: readiness is requested every second or two."""

HEALTH_PATHS = frozenset({"/health", "/health/live", "/health/ready"})
"""The server answers these also on a connection that is over a cap."""

Check = Callable[[], Awaitable[None]]
"""Returns when the dependency answers; raises otherwise. The health answer shows a ServiceError's detail."""

_OK = "ok"
_UNAVAILABLE = "unavailable"


_NOT_READY = {503: ResponseSpec(Health, description="Something that this service needs does not answer.")}


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    status: str = _OK


async def examine(checks: Mapping[str, Check]) -> Health:
    """Run all checks concurrently; takes CHECK_LIMIT_S at most."""
    states = await asyncio.gather(*map(_state_of, checks.values()))
    is_ok = all(state == _OK for state in states)
    return Health(status=_OK if is_ok else _UNAVAILABLE, dependencies=dict(zip(checks, states, strict=True)))


def health_routes(checks: Mapping[str, Check]) -> list[HTTPRouteHandler]:
    @get("/health/live", sync_to_thread=False, tags=["operations"])
    def health_live() -> Alive:
        """The process answers; its dependencies are not checked."""
        return Alive()

    @get(["/health", "/health/ready"], responses=_NOT_READY, tags=["operations"])
    async def health_ready() -> Response[Health]:
        """200 when everything that this service needs answers, else 503; with each dependency's state."""
        health = await examine(checks)
        return Response(health, status_code=200 if health.status == _OK else 503)

    return [health_live, health_ready]


async def _state_of(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            await check()
    except Exception as error:  # noqa: BLE001 - any error of a check is its dependency's state
        return f"{_UNAVAILABLE}: {_reason(error)}"
    return _OK


def _reason(error: Exception) -> str:
    """Show only our own sentences: a driver's may hold the address and the user."""
    if isinstance(error, ServiceError):
        return error.detail
    if isinstance(error, TimeoutError):
        return f"no answer within {CHECK_LIMIT_S:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
