"""Takes from PUBLIC what every role of a server has beside its grants and no service uses.

That is the way into other databases, advisory locks, large objects and messages in the write-ahead log. Only the owner of
an object can revoke a right; the bootstrap leaves the databases of other applications alone.
"""

import logging

import asyncpg

from cafeteria.provisioning.foreign_objects import quoted

_DATABASES = """
SELECT datname AS name, datname IN ('postgres', 'template1') AND pg_has_role(datdba, 'USAGE') AS is_ours
FROM pg_database WHERE datallowconn AND datname <> current_database() AND has_database_privilege('public', oid, 'CONNECT')
ORDER BY 1
"""
# asyncpg calls pg_advisory_unlock_all when it resets a connection
_FUNCTIONS = """
SELECT oid::regprocedure::text AS name, pg_has_role(proowner, 'USAGE') AS is_ours
FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')
  AND (proname ~ '^(pg_(try_)?advisory_|lo_)' OR proname IN ('loread', 'lowrite', 'pg_logical_emit_message'))
  AND proname <> 'pg_advisory_unlock_all'
ORDER BY 1
"""

logger = logging.getLogger(__name__)


async def close_to_public(connection: asyncpg.Connection) -> None:
    """Close this database to all roles without a grant, and the rest of the server as far as the administrator may.

    What stays open is in one warning.
    """
    database = quoted(await connection.fetchval("SELECT current_database()"))
    await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    databases, open_databases = await _found(connection, _DATABASES)
    functions, open_functions = await _found(connection, _FUNCTIONS)
    if databases:
        names = ", ".join(map(quoted, databases))
        await connection.execute(f"REVOKE CONNECT ON DATABASE {names} FROM PUBLIC")
        logger.info("closed to roles without a grant of their own: the databases %s", names)
    if functions:
        await connection.execute(f"REVOKE EXECUTE ON FUNCTION {', '.join(functions)} FROM PUBLIC")
    if open_databases or open_functions:
        logger.warning("%s", _warning(open_databases, len(open_functions)))


async def _found(connection: asyncpg.Connection, query: str) -> tuple[list[str], list[str]]:
    """Return the names of what is open to PUBLIC: what the bootstrap closes, and what it leaves."""
    rows = await connection.fetch(query)
    return [row["name"] for row in rows if row["is_ours"]], [
        row["name"] for row in rows if not row["is_ours"]
    ]


def _warning(databases: list[str], functions: int) -> str:
    kept = [f"CONNECT on {name}" for name in databases]
    if functions:
        kept.append(f"EXECUTE on {functions} functions for advisory locks and large objects")
    return (
        "every role of this server, also a service's, has rights that the bootstrap does not revoke: "
        f"{', '.join(kept)}. Everything works; docs/operations.md says how a superuser revokes them."
    )
