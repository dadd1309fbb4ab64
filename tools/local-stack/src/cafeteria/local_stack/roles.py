"""Who may do what in Postgres: a role and a schema per service, nothing for anybody else.

Creates or updates, and may run at any time. Tables and their grants are the migrations' business; all of
them belong to an owner as whom nobody logs in.
"""

from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from cafeteria.chassis.migrations import OWNER_ROLE
from cafeteria.contracts.bus import SERVICES
from cafeteria.local_stack.scram import verifier

_PLAIN_LOGIN = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT"
_LOCK = 0x0CAFE7  # of two bootstraps at once the second waits: Postgres refuses concurrent ALTER ROLE


async def ensure_database(admin_url: str) -> None:
    """Create the database that `admin_url` names, unless it is there."""
    url = urlsplit(admin_url)
    name = url.path.removeprefix("/")
    connection = await asyncpg.connect(urlunsplit(url._replace(path="/postgres")))
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        pass  # another bootstrap was faster
    finally:
        await connection.close()


async def ensure_roles(admin_url: str, *, password_of: Callable[[str], str]) -> None:
    """Bring roles, schemas and rights of the database to what this file says."""
    connection = await asyncpg.connect(admin_url)
    try:
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            await _ensure_owner(connection)
            await _close_to_public(connection)
            for service in SERVICES:
                await _ensure_service(connection, service, password_of(service))
    finally:
        await connection.close()


async def _ensure_owner(connection: asyncpg.Connection) -> None:
    if not await _role_exists(connection, OWNER_ROLE):
        await connection.execute(f"CREATE ROLE {OWNER_ROLE} NOLOGIN")
    # an administrator who is no superuser becomes the owner to migrate
    if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        await connection.execute(f"GRANT {OWNER_ROLE} TO CURRENT_USER WITH SET TRUE")


async def _close_to_public(connection: asyncpg.Connection) -> None:
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
    await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


async def _ensure_service(connection: asyncpg.Connection, service: str, password: str) -> None:
    database = await connection.fetchval("SELECT current_database()")
    verb = "ALTER" if await _role_exists(connection, service) else "CREATE"
    for statement in (
        f"{verb} ROLE {service} {_PLAIN_LOGIN} PASSWORD '{verifier(password)}'",
        f'ALTER ROLE {service} IN DATABASE "{database}" SET search_path TO {service}',
        f'REVOKE ALL ON DATABASE "{database}" FROM {service}',
        f'GRANT CONNECT ON DATABASE "{database}" TO {service}',
        f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {OWNER_ROLE}",
        f"REVOKE ALL ON SCHEMA {service} FROM PUBLIC, {service}",
        f"GRANT USAGE ON SCHEMA {service} TO {service}",
    ):
        await connection.execute(statement)


async def _role_exists(connection: asyncpg.Connection, role: str) -> bool:
    return bool(await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role))
