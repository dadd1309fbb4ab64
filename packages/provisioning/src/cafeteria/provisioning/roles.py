"""Creates or updates a Postgres role and schema for each service, and leaves nothing to other roles.

It may run at any time. Migrations create the tables and grant the rights on them; all tables belong to an owner role that
cannot log in.
"""

from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import asyncpg

from cafeteria.chassis.database.migrations import OWNER_ROLE
from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning.administrator import connected
from cafeteria.provisioning.foreign_objects import mark, quoted, refuse_foreign, refuse_foreign_roles
from cafeteria.provisioning.public_rights import close_to_public
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

_CONNECTIONS = "SELECT greatest(current_setting('max_connections')::int * 2 / 5, 10)"
"""The connections of a role: two fifths of the server's, so that no two services leave the others none. By default 40, which
four gateways use."""

_SESSION_SETTINGS = {"statement_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}
"""Defaults of the role's sessions, equal to those that its pool asks for. A session may change them."""


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
    async with connected(admin_url) as connection:
        await refuse_foreign(connection)
        await _create_owner(connection)
        async with connection.transaction():
            # The comment locks the role until the transaction ends, and no service may comment on it: another bootstrap
            # waits, because Postgres refuses concurrent ALTER ROLE.
            await mark(connection, OWNER_ROLE)
            await _let_administrator_migrate(connection)
            await close_to_public(connection)
            for service in SERVICES:
                await _ensure_service(connection, service, password_of(service))


async def _create_owner(connection: asyncpg.Connection) -> None:
    if await _attributes_of(connection, OWNER_ROLE):
        return
    with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):  # another bootstrap was faster
        async with connection.transaction():
            await connection.execute(f"CREATE ROLE {OWNER_ROLE} NOLOGIN")
            await mark(connection, OWNER_ROLE)


async def _let_administrator_migrate(connection: asyncpg.Connection) -> None:
    """Let an administrator without superuser rights set the owner role."""
    if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        await connection.execute(f"GRANT {OWNER_ROLE} TO CURRENT_USER WITH SET TRUE")


async def _ensure_service(connection: asyncpg.Connection, service: str, password: str) -> None:
    database = quoted(await connection.fetchval("SELECT current_database()"))
    verb, keywords = await _verb_and_keywords(connection, service)
    limit = await connection.fetchval(_CONNECTIONS)
    await connection.execute(
        f"{verb} ROLE {service} {keywords} CONNECTION LIMIT {limit} PASSWORD '{verifier(password)}'"
    )
    await mark(connection, service)
    for name, value in {"search_path": service, **_SESSION_SETTINGS}.items():
        await connection.execute(f"ALTER ROLE {service} IN DATABASE {database} SET {name} = '{value}'")
    for statement in (
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
