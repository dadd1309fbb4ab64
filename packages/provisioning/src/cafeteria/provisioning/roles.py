"""Creates or updates a Postgres role and schema for each service, and grants nothing to other roles.

It may run at any time. Migrations create the tables and their grants; all tables belong to an owner role that cannot
log in.
"""

from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import asyncpg

from cafeteria.chassis.database.migrations import OWNER_ROLE
from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning.administrator import connected
from cafeteria.provisioning.foreign_objects import mark, quoted, refuse_foreign, refuse_foreign_roles
from cafeteria.provisioning.scram import verifier

_PLAIN_LOGIN = {
    "rolcanlogin": ("LOGIN", True),
    "rolsuper": ("NOSUPERUSER", False),
    "rolcreatedb": ("NOCREATEDB", False),
    "rolcreaterole": ("NOCREATEROLE", False),
    "rolreplication": ("NOREPLICATION", False),
    "rolbypassrls": ("NOBYPASSRLS", False),
    "rolinherit": ("NOINHERIT", False),
}
"""The attributes of a service's role: for each column of pg_roles the keyword that sets it and the resulting value."""

_LOCK = 0x0CAFE7  # a second concurrent bootstrap waits: Postgres refuses concurrent ALTER ROLE


async def ensure_database(admin_url: str) -> None:
    """Create the database of `admin_url` unless it exists. Raises `StackError` for foreign roles."""
    try:
        async with connected(admin_url):
            pass
    except asyncpg.InvalidCatalogNameError:
        name = unquote(urlsplit(admin_url).path.removeprefix("/"))
        await _create_database(admin_url, name)


async def _create_database(admin_url: str, name: str) -> None:
    async with connected(admin_url, database="postgres") as connection:
        await refuse_foreign_roles(connection)
        with suppress(
            asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError
        ):  # another bootstrap was faster
            await connection.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE template0")


async def ensure_roles(admin_url: str, *, password_of: Callable[[str], str]) -> None:
    """Create or update the roles, schemas and rights of the database.

    Raises `StackError`, with nothing changed, for a role, schema or database that the bootstrap did not create.
    """
    async with connected(admin_url) as connection, connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await refuse_foreign(connection)
        await _ensure_owner(connection)
        await _close_to_public(connection)
        for service in SERVICES:
            await _ensure_service(connection, service, password_of(service))


async def _ensure_owner(connection: asyncpg.Connection) -> None:
    if not await _attributes_of(connection, OWNER_ROLE):
        await connection.execute(f"CREATE ROLE {OWNER_ROLE} NOLOGIN")
    await mark(connection, OWNER_ROLE)
    # an administrator without superuser rights sets the owner role to migrate
    if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        await connection.execute(f"GRANT {OWNER_ROLE} TO CURRENT_USER WITH SET TRUE")


async def _close_to_public(connection: asyncpg.Connection) -> None:
    database = quoted(await connection.fetchval("SELECT current_database()"))
    await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


async def _ensure_service(connection: asyncpg.Connection, service: str, password: str) -> None:
    database = quoted(await connection.fetchval("SELECT current_database()"))
    verb, keywords = await _verb_and_keywords(connection, service)
    await connection.execute(f"{verb} ROLE {service} {keywords} PASSWORD '{verifier(password)}'")
    await mark(connection, service)
    for statement in (
        f"ALTER ROLE {service} IN DATABASE {database} SET search_path TO {service}",
        f"REVOKE ALL ON DATABASE {database} FROM {service}",
        f"GRANT CONNECT ON DATABASE {database} TO {service}",
        f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {OWNER_ROLE}",
        f"REVOKE ALL ON SCHEMA {service} FROM PUBLIC, {service}",
        f"GRANT USAGE ON SCHEMA {service} TO {service}",
    ):
        await connection.execute(statement)


async def _verb_and_keywords(connection: asyncpg.Connection, role: str) -> tuple[str, str]:
    """For an existing role, return only the keywords that change an attribute.

    Postgres refuses NOSUPERUSER, NOREPLICATION and NOCREATEDB from an administrator who lacks the attribute, even if
    they would change nothing.
    """
    attributes = await _attributes_of(connection, role)
    if attributes is None:
        return "CREATE", " ".join(keyword for keyword, _ in _PLAIN_LOGIN.values())
    wrong = (keyword for column, (keyword, wanted) in _PLAIN_LOGIN.items() if attributes[column] != wanted)
    return "ALTER", " ".join(wrong)


async def _attributes_of(connection: asyncpg.Connection, role: str) -> asyncpg.Record | None:
    return await connection.fetchrow(
        f"SELECT {', '.join(_PLAIN_LOGIN)} FROM pg_roles WHERE rolname = $1",  # noqa: S608 - columns named above
        role,
    )
