"""The administrator's connection to Postgres, which takes nothing from libpq's environment variables."""

from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

from cafeteria.chassis.database.libpq import EXPLICIT_ARGUMENTS
from cafeteria.provisioning.errors import SettingError


async def connect(
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    database: str | None = None,
    **arguments: Any,
) -> asyncpg.Connection:
    """Connect to `url`, as `user` and to `database` where they are given; `arguments` are asyncpg's own.

    Raises `SettingError` for parameters behind the URL, and what asyncpg raises.
    """
    parts = urlsplit(url)
    if parts.query:
        raise SettingError(f"CAFETERIA_POSTGRES_URL cannot be used: `{parts.query}` is not understood here.")
    return await asyncpg.connect(
        host=parts.hostname,
        port=parts.port or 5432,
        user=user or unquote(parts.username or ""),
        password=password or unquote(parts.password or ""),
        database=database or unquote(parts.path.removeprefix("/")),
        **{**EXPLICIT_ARGUMENTS, **arguments},
    )
