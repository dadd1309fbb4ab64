"""One Alembic environment for all services: a service ships revision files only, in `migrations/versions`.

A migration is a single transaction, run as the schema's owner: it applies all revisions or changes nothing.
Services' roles own nothing. Beside `versions`, `grants.sql` lists all rights of the service's role on its tables, and a
migration ends by giving it exactly these.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, StampStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, TextClause, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from cafeteria.chassis.database.libpq import DEFAULT_PORT, EXPLICIT_ARGUMENTS
from cafeteria.chassis.database.statement import driver_of
from cafeteria.chassis.runtime.settings import LEAST_KEPT_DAYS

OWNER_ROLE = "cafeteria_owner"
"""Owns every schema and table. It has no login; an administrator assumes it by SET ROLE."""


class MigrationsMissingError(LookupError):
    """The service's package ships no revision files."""


class GrantsMissingError(LookupError):
    """The service's package does not say what its role may do."""


class Operations(Protocol):
    """The part of Alembic's `op` that the helpers here need."""

    def get_bind(self) -> Connection: ...


def revisions_of(service: str) -> Path:
    """Return the folder of the service's revision files.

    Raises `MigrationsMissingError` if it has none or the service is not installed.
    """
    package = find_spec(f"cafeteria.{service}")
    if package is None or not package.submodule_search_locations:
        raise MigrationsMissingError(f"{service} is not installed")
    folder = Path(package.submodule_search_locations[0]) / "migrations" / "versions"
    if not any(folder.glob("*.py")):
        raise MigrationsMissingError(f"{service} ships no migrations in {folder}")
    return folder


async def migrate(service: str, admin_url: str, *, revision: str = "head") -> None:
    """Bring the service's schema to `revision`; at the newest, give its role the rights in `grants.sql` and no others.

    `admin_url` (`postgresql://…`) logs in a role that may become `cafeteria_owner`. Several processes may run
    it at once: the second waits. Within a process run one at a time, because Alembic keeps the running
    migration in a module. Raises `GrantsMissingError` for a service without `grants.sql`.
    """
    revisions = revisions_of(service)
    script, grants = _script_directory(revisions), _grants_of(service, revisions.parent)
    url = make_url(admin_url).set(drivername="postgresql+asyncpg")
    url = url.set(port=url.port or DEFAULT_PORT)
    engine = create_async_engine(url, poolclass=NullPool, connect_args=dict(EXPLICIT_ARGUMENTS))
    try:
        async with engine.begin() as connection:
            for statement in _session_statements(service):
                await connection.execute(statement)
            await connection.run_sync(_upgrade, script=script, service=service, revision=revision)
            if revision == "head":  # an earlier one may lack the tables
                await _replace_rights(driver_of(connection), service, grants)
    finally:
        await engine.dispose()


def _script_directory(revisions: Path) -> ScriptDirectory:
    return ScriptDirectory(revisions.parent, version_locations=[revisions])


def _grants_of(service: str, folder: Path) -> str:
    try:
        return (folder / "grants.sql").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GrantsMissingError(
            f"{folder} has no grants.sql with the rights of the role {service}"
        ) from None


async def _replace_rights(connection: "asyncpg.Connection[Any]", service: str, grants: str) -> None:
    """Replace the rights of the service's role on what the owner has; other sessions see both changes in one step."""
    revocations = await connection.fetch(_REVOCATIONS, service)
    await connection.execute("; ".join([*(row["statement"] for row in revocations), grants]))


# An object of somebody else, such as a report's view, keeps its rights: only its owner can revoke them.
_REVOCATIONS = """
SELECT format('REVOKE ALL ON %s %s FROM %I, PUBLIC', kind, name, $1::text) AS statement FROM (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, oid::regclass::text AS name
    FROM pg_class WHERE relnamespace = CAST($1 AS text)::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND relowner = current_user::regrole
    UNION ALL SELECT 'ROUTINE', oid::regprocedure::text
    FROM pg_proc WHERE pronamespace = CAST($1 AS text)::regnamespace AND proowner = current_user::regrole
) AS owned
"""


def _session_statements(service: str) -> tuple[TextClause, ...]:
    """Work as the owner, wait for another migrator of this schema, and stay in the service's schema.

    A comment locks its schema until the transaction ends, against other comments alone, and needs the schema's owner: no
    service can hold up a migration, as it could with an advisory lock.
    """
    return (
        text(f'SET LOCAL ROLE "{OWNER_ROLE}"'),
        text(f"COMMENT ON SCHEMA \"{service}\" IS 'tables of {service}'"),
        text(f'SET LOCAL search_path TO "{service}"'),
    )


def _upgrade(connection: Connection, *, script: ScriptDirectory, service: str, revision: str) -> None:
    def steps(current: Sequence[str], _context: MigrationContext) -> list[StampStep]:
        # Alembic declares its own callback's parameters too narrowly
        return script._upgrade_revs(revision, current)  # type: ignore[arg-type,return-value]  # noqa: SLF001 - Alembic's cookbook calls it so, there is no public name

    with EnvironmentContext(Config(), script, fn=steps, destination_rev=revision) as environment:
        environment.configure(connection=connection, version_table_schema=service)
        with environment.begin_transaction():
            environment.run_migrations()


def grant_tables(op: Operations, *, schema: str, role: str, insert_only: Sequence[str] = ()) -> None:
    """Grant `role` the rights of a service on the tables that it cannot read yet: earlier revisions call it.

    `grants.sql` replaces these rights at the end of the migration; a new revision grants nothing itself.
    On `insert_only` tables (ledgers, histories) it may read and insert, on all others also update and delete.
    Tables that an earlier revision granted do not change, so a later one names only its own ledgers.
    Raises `ValueError` for an `insert_only` table that does not exist.
    """
    connection = op.get_bind()
    new = _tables_without_grants(connection, schema=schema, role=role)
    if unknown := set(insert_only) - set(new):
        raise ValueError(f"insert_only names no new table of {schema}: {', '.join(sorted(unknown))}")
    for table in new:
        rights = "SELECT, INSERT" if table in insert_only else "SELECT, INSERT, UPDATE, DELETE"
        connection.execute(text(f'GRANT {rights} ON "{schema}"."{table}" TO "{role}"'))
    connection.execute(text(f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{schema}" TO "{role}"'))


def set_statistics(op: Operations, *, schema: str, columns: Mapping[str, Sequence[str]], target: int) -> None:
    """Set the planner's statistics target of `columns` by table: 0 for none, -1 for the server's default.

    Sorting sampled JSON took three quarters of each ANALYZE, and in a rush the growing tables get one every 15 s.
    """
    for table, names in columns.items():
        parts = ", ".join(f'ALTER COLUMN "{name}" SET STATISTICS {target:d}' for name in names)
        op.get_bind().execute(text(f'ALTER TABLE "{schema}"."{table}" {parts}'))


def pack_outbox(op: Operations, *, schema: str) -> None:
    """Make an outbox row an item of a message: the message has the type, the body the trace."""
    _run(
        op,
        f"""ALTER TABLE "{schema}".outbox DROP COLUMN type_name, DROP COLUMN traceparent,
            ADD CONSTRAINT ck_outbox_body_fits_a_message CHECK (octet_length(body) <= 65536)""",
    )


def unpack_outbox(op: Operations, *, schema: str) -> None:
    """Undo `pack_outbox`; unsent rows get their former types."""
    _run(
        op,
        f"""ALTER TABLE "{schema}".outbox DROP CONSTRAINT ck_outbox_body_fits_a_message,
            ADD COLUMN traceparent text, ADD COLUMN type_name text""",
        f"""UPDATE "{schema}".outbox SET type_name = CASE subject
            WHEN 'kitchen.work.v1.placed' THEN 'kitchen.cook-order.v1' ELSE 'order.status-changed.v1' END""",  # noqa: S608 - a schema's name
        f"""ALTER TABLE "{schema}".outbox ALTER COLUMN type_name SET NOT NULL""",
    )


def create_relay_lease(op: Operations, *, schema: str) -> None:
    """Create the lease of the outbox's relay; nobody holds it."""
    _run(
        op,
        f"""CREATE TABLE "{schema}".relay_lease (
            id smallint CONSTRAINT pk_relay_lease PRIMARY KEY CONSTRAINT ck_relay_lease_one_row CHECK (id = 1),
            holder text NOT NULL, until timestamptz NOT NULL)""",
        f"""COMMENT ON CONSTRAINT ck_relay_lease_one_row ON "{schema}".relay_lease IS 'one relay at a time'""",
        f"""INSERT INTO "{schema}".relay_lease VALUES (1, '', '-infinity')""",  # noqa: S608 - a schema's name
    )


def create_purge(op: Operations, *, schema: str, deletion: str) -> None:
    """Create `purge_ended(days, at_most)`, which `retention.PurgeEnded` calls.

    `deletion` is PL/pgSQL that sets `deleted` to the number of rows. It may use `at_most`, `ended_before` and, for rows whose
    id is a UUIDv7, `id_before`. The service's `grants.sql` grants the function.
    """
    _run(
        op,
        f"""CREATE FUNCTION "{schema}".purge_ended(days integer, at_most integer) RETURNS bigint
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = "{schema}", pg_temp AS $purge$
        DECLARE
            ended_before CONSTANT timestamptz := clock_timestamp() - make_interval(days => greatest(days, {LEAST_KEPT_DAYS}));
            id_before CONSTANT uuid := CAST(
                rpad(lpad(to_hex(CAST(extract(epoch FROM ended_before) * 1000 AS bigint)), 12, '0'), 32, '0') AS uuid);
            deleted bigint;
        BEGIN
            {deletion}
            RETURN deleted;
        END
        $purge$""",
        f"""REVOKE ALL ON FUNCTION "{schema}".purge_ended FROM PUBLIC""",
    )


def drop_purge(op: Operations, *, schema: str) -> None:
    """Undo `create_purge`."""
    _run(op, f"""DROP FUNCTION "{schema}".purge_ended""")


def key_dead_letters_by_item(op: Operations, *, schema: str) -> None:
    """Make a dead letter an item of a message instead of a whole message, and keep each body once."""
    table = f'"{schema}".dead_letters'
    _run(
        op,
        f"""ALTER TABLE {table} DROP CONSTRAINT uq_dead_letters_stream_sequence_stored_at,
            ADD COLUMN item smallint, ADD COLUMN body_digest bytea""",
        f"UPDATE {table} SET item = -1, body_digest = sha256(body)",  # noqa: S608 - a schema's name
        f"""DELETE FROM {table} AS later USING {table} AS kept WHERE kept.subject = later.subject
            AND kept.body_digest = later.body_digest AND kept.id < later.id""",  # noqa: S608 - a schema's name
        f"""ALTER TABLE {table} ALTER COLUMN item SET NOT NULL, ALTER COLUMN body_digest SET NOT NULL,
            ADD CONSTRAINT uq_dead_letters_stream_sequence_stored_at_item
                UNIQUE (stream, sequence, stored_at, item),
            ADD CONSTRAINT uq_dead_letters_subject_body_digest UNIQUE (subject, body_digest)""",
    )


def key_dead_letters_by_message(op: Operations, *, schema: str) -> None:
    """Undo `key_dead_letters_by_item`. Fails if a message has several dead letters."""
    _run(
        op,
        f"""ALTER TABLE "{schema}".dead_letters DROP COLUMN item, DROP COLUMN body_digest,
            ADD CONSTRAINT uq_dead_letters_stream_sequence_stored_at UNIQUE (stream, sequence, stored_at)""",
    )


def _run(op: Operations, *statements: str) -> None:
    for statement in statements:
        op.get_bind().execute(text(statement))


_TABLES_WITHOUT_GRANTS = text("""
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version'
  AND NOT has_table_privilege(:role, c.oid, 'SELECT')
ORDER BY c.relname
""")


def _tables_without_grants(connection: Connection, *, schema: str, role: str) -> list[str]:
    found = connection.execute(_TABLES_WITHOUT_GRANTS, {"schema": schema, "role": role})
    return list(found.scalars())
