"""With an internal port, metrics and the schema are served there alone; health is served on both."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from litestar import get

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.settings import ServiceSettings, SettingsError, load_settings
from cafeteria.contracts.subjects import PORT_OFFSETS, STOCK

FOR_OPERATORS = ("/metrics", "/schema", "/schema/openapi.json")
HEALTH = ("/health", "/health/live", "/health/ready")


@get("/menu")
async def menu() -> str:
    return "soup"


def app_with(environ: dict[str, str], **settings: str) -> ServiceApp:
    loaded = load_settings(ServiceSettings, {**environ, **settings})
    return build_app(service=STOCK, settings=loaded, route_handlers=[menu], checks={})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@asynccontextmanager
async def listening(app: ServiceApp) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Clients of the public and of the internal listener."""
    assert app.internal is not None
    internal_url = f"http://{app.internal.host}:{app.internal.port}"
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url) as public,
        httpx.AsyncClient(base_url=internal_url) as internal,
    ):
        yield public, internal


async def statuses(client: httpx.AsyncClient, paths: tuple[str, ...], **options: Any) -> set[int]:
    return {(await client.request(options.get("method", "GET"), path)).status_code for path in paths}


async def test_operators_have_a_listener_of_their_own(environ: dict[str, str]) -> None:
    app = app_with(environ, CAFETERIA_INTERNAL_PORT=str(free_port()))
    async with listening(app) as (public, internal):
        assert await statuses(public, HEALTH) == await statuses(internal, HEALTH) == {200}
        assert await statuses(internal, FOR_OPERATORS) == {200}
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            assert await statuses(public, FOR_OPERATORS, method=method) == {404}
        assert await statuses(public, ("//metrics", "/metrics/", "/%6detrics", "/METRICS")) == {404}
        assert (await public.get("/menu")).text == "soup"
        assert (await internal.get("/menu")).status_code == 404


async def test_it_shows_the_metrics_and_the_schema_of_the_public_routes(environ: dict[str, str]) -> None:
    app = app_with(environ, CAFETERIA_INTERNAL_PORT=str(free_port()))
    async with listening(app) as (public, internal):
        await public.get("/menu")
        metrics = (await internal.get("/metrics")).text
        assert 'cafeteria_http_requests_total{method="GET",route="/menu",status="200"} 1.0' in metrics
        paths = (await internal.get("/schema")).json()["paths"]
        assert set(paths) == {"/menu", *HEALTH}
        assert (await public.get("/")).status_code == (await internal.get("/")).status_code == 404
        assert (await internal.get("/metrics")).headers["x-content-type-options"] == "nosniff"


async def test_without_an_internal_port_the_public_listener_has_all(environ: dict[str, str]) -> None:
    app = app_with(environ)
    assert app.internal is None
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as public:
        assert await statuses(public, (*FOR_OPERATORS, *HEALTH)) == {200}


def test_its_port_follows_the_base_as_the_public_one_does(environ: dict[str, str]) -> None:
    settings = load_settings(ServiceSettings, {**environ, "CAFETERIA_INTERNAL_PORT_BASE": "9000"})
    assert settings.internal_listen_port(STOCK) == 9000 + PORT_OFFSETS[STOCK]
    own = load_settings(ServiceSettings, {**environ, "CAFETERIA_INTERNAL_PORT": "0"})
    assert own.internal_listen_port(STOCK) == 0


def test_one_port_for_both_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="8002 is the public port already"):
        app_with(environ, CAFETERIA_INTERNAL_PORT_BASE="8000")


async def test_an_internal_port_in_use_is_named_with_its_variables(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = app_with(environ, CAFETERIA_INTERNAL_PORT=str(taken.getsockname()[1]))
        with pytest.raises(Exception, match="set CAFETERIA_INTERNAL_PORT_BASE or CAFETERIA_INTERNAL_PORT"):
            async with serving(app):
                pass
