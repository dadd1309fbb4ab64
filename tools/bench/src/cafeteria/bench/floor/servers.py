"""Connections to Postgres and NATS, and the HTTP server, with the product's roles, users, passwords and options."""

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import uvicorn
import uvloop
from litestar import Litestar
from nats.aio.client import Client


async def postgres(role: str) -> asyncpg.Connection:
    """Open one connection with one user, so that no pool is needed."""
    return await asyncpg.connect(
        os.environ["CAFETERIA_POSTGRES_URL"],
        user=role,
        password=_secret("CAFETERIA_POSTGRES_PASSWORD_FILE"),
        server_settings={"application_name": f"floor-{role}", "plan_cache_mode": "force_generic_plan"},
    )


async def nats(user: str) -> Client:
    address = urlsplit(os.environ["CAFETERIA_NATS_URL"])
    client = Client()
    await client.connect(
        f"nats://{address.hostname}:{address.port}",
        user=user,
        password=_secret("CAFETERIA_NATS_PASSWORD_FILE"),
        inbox_prefix=f"_INBOX_{user}".encode(),
        max_reconnect_attempts=-1,
        pending_size=-1,
    )
    return client


async def serve(app: Litestar) -> None:
    """Serve HTTP with the product's server options."""
    config = uvicorn.Config(
        app,
        port=int(os.environ["CAFETERIA_PORT"]),
        http="httptools",
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=65,
    )
    await uvicorn.Server(config).serve()


def run_service(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def report_ready() -> None:
    """Print the line that the bench waits for."""
    print("ready", flush=True)  # noqa: T201 - the parent process reads it


def _secret(name: str) -> str:
    return Path(os.environ[name]).read_text().strip()
