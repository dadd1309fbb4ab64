"""A service for the tests of the server, which start it as a process."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.params import FromQuery, JSONBody
from litestar.response import Stream

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.tokens import requires
from cafeteria.chassis.http import uvicorn_server
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.process import run
from cafeteria.chassis.runtime.settings import ServiceSettings, SettingsError
from cafeteria.chassis.runtime.termination import end_process
from cafeteria.contracts.identity import Jwks

MIB = b"x" * 2**20


@get("/begun")
async def begun(request: Request[Any, Any, Any]) -> int:
    """Return how many slow requests have reached their handler."""
    return request.app.state.get("begun", 0)


@get("/slow")
async def slow(request: Request[Any, Any, Any], seconds: FromQuery[float] = 0.3) -> str:
    request.app.state.begun = request.app.state.get("begun", 0) + 1
    await asyncio.sleep(seconds)
    return "done"


@post("/echo")
async def echo(data: JSONBody[dict[str, str]]) -> dict[str, str]:
    return data


@get("/events")
async def events(request: Request[Any, Any, Any]) -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        yield b": open\n\n"
        await request.app.state.closing.wait()
        yield b": closed\n\n"

    return Stream(blocks(), media_type="text/event-stream")


@get("/flood")
async def flood(request: Request[Any, Any, Any]) -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        while not request.app.state.closing.is_set():
            yield MIB

    return Stream(blocks(), media_type="text/event-stream")


@get("/end")
async def end() -> str:
    end_process()
    return "ending"


@get("/close-bus")
async def close_bus(request: Request[Any, Any, Any]) -> str:
    """Close the bus's client for good, as after a refused login."""
    await request.app.state.bus.connected()
    await request.app.state.bus.client.close()
    return "ending"


@get("/bug")
async def bug() -> None:
    raise RuntimeError("a bug")


@get("/guarded", before_request=requires())
async def guarded() -> str:
    return "in"


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    print("opening", flush=True)  # noqa: T201 - the test reads it
    match os.environ.get("PROBE_START"):
        case "end":
            end_process()
            await asyncio.Event().wait()
        case "stuck":
            await asyncio.Event().wait()
        case "broken":
            raise RuntimeError("cannot open")
        case "unusable":
            raise SettingsError(("PROBE_KEY_FILE holds no key.",))
    async with (
        Bus(app.state.settings, service="gateway") if "PROBE_BUS" in os.environ else nullcontext() as bus
    ):
        app.state.bus = bus
        yield
    if os.environ.get("PROBE_STOP") == "stuck":
        await asyncio.Event().wait()
    print("closed", flush=True)  # noqa: T201 - the test reads it


async def fetch_no_keys() -> Jwks:
    return Jwks(keys=())


def create_app(settings: ServiceSettings) -> ServiceApp:
    return build_app(
        service="gateway",
        settings=settings,
        route_handlers=[begun, slow, echo, events, flood, end, close_bus, bug, guarded],
        checks={},
        lifespan=[lifespan],
        keys=KeySource(fetch_no_keys),
    )


def serve() -> None:
    """Run the process from start to end."""
    uvicorn_server.LOOK_S = float(os.environ.get("PROBE_LOOK_S", uvicorn_server.LOOK_S))
    run("gateway", create_app, ServiceSettings)


if __name__ == "__main__":
    serve()
