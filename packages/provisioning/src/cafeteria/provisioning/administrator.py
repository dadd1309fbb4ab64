"""Connects to Postgres as the administrator and ignores libpq's environment variables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

from cafeteria.chassis.database.libpq import EXPLICIT_ARGUMENTS
from cafeteria.provisioning.errors import SettingError

CLOSE_TIMEOUT_S = 5


async def connect(
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    database: str | None = None,
    **arguments: Any,
) -> asyncpg.Connection:
    """Connect to `url`; `user`, `password` and `database` replace the URL's, `arguments` go to asyncpg.

    Raises `SettingError` for a URL with parameters, and asyncpg's errors.
    """
    parts = urlsplit(url)
    if parts.query:
        raise SettingError(
            f"CAFETERIA_POSTGRES_URL cannot be used: remove its parameters `{parts.query}`, which are not supported."
        )
    return await asyncpg.connect(
        host=parts.hostname,
        port=parts.port or 5432,
        user=user or unquote(parts.username or ""),
        password=password or unquote(parts.password or ""),
        database=database or unquote(parts.path.removeprefix("/")),
        **{**EXPLICIT_ARGUMENTS, **arguments},
    )


@asynccontextmanager
async def connected(url: str, **arguments: Any) -> AsyncIterator[asyncpg.Connection]:
    """Connect as `connect` does, for the time of the block."""
    connection = await connect(url, **arguments)
    try:
        yield connection
    finally:
        await connection.close(timeout=CLOSE_TIMEOUT_S)
