"""Tells what the bootstrap made in a Postgres from what somebody else made, which it never changes.

A role of ours carries a comment; version 0.1 wrote none, and its roles are known by a setting that it gave them in this
database. A schema of ours belongs to our owner. A database is taken while it is empty, or has schemas of ours already.
"""

import asyncpg

from cafeteria.chassis.database.migrations import OWNER_ROLE
from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning.errors import StackError

COMMENT = "made by the bootstrap of cafeteria"

_UNMARKED_ROLES = """
SELECT rolname FROM pg_roles AS r
WHERE rolname = ANY($1) AND shobj_description(r.oid, 'pg_authid') IS DISTINCT FROM $2
  AND NOT EXISTS (SELECT FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase
                  WHERE s.setrole = r.oid AND d.datname = current_database()
                    AND s.setconfig @> ARRAY['search_path=' || r.rolname])
  AND NOT EXISTS (SELECT FROM pg_namespace AS n
                  WHERE n.nspowner = r.oid AND n.nspname = ANY($3) AND r.rolname = $4)
ORDER BY 1
"""
_SCHEMAS = """
SELECT nspname, pg_get_userbyid(nspowner) AS owner FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') ORDER BY 1
"""
_TABLES_IN_PUBLIC = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e') ORDER BY 1 LIMIT 1
"""


async def refuse_foreign(connection: asyncpg.Connection) -> None:
    """Raise `StackError` where a role, schema or database that would be changed is somebody else's."""
    await refuse_foreign_roles(connection)
    schemas = {row["nspname"]: row["owner"] for row in await connection.fetch(_SCHEMAS)}
    for name in SERVICES:
        if schemas.get(name, OWNER_ROLE) != OWNER_ROLE:
            raise StackError(
                f"The schema {name} in this database belongs to {schemas[name]}, not to this stack, so nothing was "
                "changed: rename it, or name another database in CAFETERIA_POSTGRES_URL."
            )
    if not schemas.keys() & set(SERVICES):
        await _refuse_used_database(connection, next(iter(schemas), None))


async def refuse_foreign_roles(connection: asyncpg.Connection) -> None:
    """Raise `StackError` for roles of our names; on a connection to another database too, before ours is made."""
    found = await connection.fetch(
        _UNMARKED_ROLES, [OWNER_ROLE, *SERVICES], COMMENT, list(SERVICES), OWNER_ROLE
    )
    if found:
        names = ", ".join(row[0] for row in found)
        raise StackError(
            f"This Postgres has roles that the bootstrap did not make: {names}. Nothing was changed. Use another Postgres, "
            f"or rename them; where they are left from a stack of yours, `COMMENT ON ROLE … IS '{COMMENT}'` says so."
        )


async def mark(connection: asyncpg.Connection, role: str) -> None:
    await connection.execute(f"COMMENT ON ROLE {role} IS '{COMMENT}'")


def quoted(name: str) -> str:
    """As an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


async def _refuse_used_database(connection: asyncpg.Connection, schema: str | None) -> None:
    table = await connection.fetchval(_TABLES_IN_PUBLIC)
    if schema or table:
        what = f"schema {schema}" if schema else f"table {table}"
        raise StackError(
            f"This database is in use by something else (it has the {what}), and the bootstrap closes a database to all "
            "but its own roles. Nothing was changed: name an empty or new one in CAFETERIA_POSTGRES_URL."
        )
