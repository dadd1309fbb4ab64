"""Refuses roles, schemas and databases that the bootstrap did not create, so that it never changes them.

The bootstrap comments on its roles. Version 0.1 did not, so its roles are recognised by their `search_path` in this
database. Its schemas belong to its owner role. It uses a database that is empty or already has its schemas.
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
    """Raise `StackError` if the bootstrap did not create a role, schema or database that it would change."""
    await refuse_foreign_roles(connection)
    schemas = {row["nspname"]: row["owner"] for row in await connection.fetch(_SCHEMAS)}
    for name in SERVICES:
        if schemas.get(name, OWNER_ROLE) != OWNER_ROLE:
            raise StackError(
                f"The schema {name} in this database belongs to {schemas[name]}, not to this stack. Nothing was "
                "changed: rename the schema, or name another database in CAFETERIA_POSTGRES_URL."
            )
    if not schemas.keys() & set(SERVICES):
        await _refuse_used_database(connection, next(iter(schemas), None))


async def refuse_foreign_roles(connection: asyncpg.Connection) -> None:
    """Raise `StackError` if the bootstrap did not create the roles that have its roles' names.

    It also works on a connection to another database, before the stack's database exists.
    """
    found = await connection.fetch(
        _UNMARKED_ROLES, [OWNER_ROLE, *SERVICES], COMMENT, list(SERVICES), OWNER_ROLE
    )
    if found:
        names = ", ".join(row[0] for row in found)
        raise StackError(
            f"This Postgres has roles that the bootstrap did not make: {names}. Nothing was changed. Use another Postgres, "
            f"or rename the roles. If they are from an earlier stack of yours, mark each: `COMMENT ON ROLE … IS '{COMMENT}'`."
        )


async def mark(connection: asyncpg.Connection, role: str) -> None:
    await connection.execute(f"COMMENT ON ROLE {role} IS '{COMMENT}'")


def quoted(name: str) -> str:
    """Return `name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


async def _refuse_used_database(connection: asyncpg.Connection, schema: str | None) -> None:
    table = await connection.fetchval(_TABLES_IN_PUBLIC)
    if schema or table:
        found_object = f"schema {schema}" if schema else f"table {table}"
        raise StackError(
            f"Another application uses this database (it has the {found_object}), and the bootstrap closes a database to all "
            "roles but its own. Nothing was changed: name an empty or new database in CAFETERIA_POSTGRES_URL."
        )
