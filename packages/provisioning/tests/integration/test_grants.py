"""Each role may do what `grants.sql` of its service says, and everything else is tried and refused, in every schema."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from cafeteria.contracts.subjects import SERVICES
from cafeteria.testkit.servers import FixtureServers

REFUSED = asyncpg.InsufficientPrivilegeError

NEVER_DELETED = {
    "identity.users",
    "identity.login_attempts",
    "gateway.orders",
    "stock.items",
    "stock.inventory",
    "stock.reservations",
    "stock.stock_transactions",
    "stock.restocks",
    "kitchen.kitchen_orders",
    "kitchen.order_status_history",
    "notification.notifications",
}
NEVER_CHANGED = {
    "identity.login_attempts": set(),
    "stock.stock_transactions": set(),
    "stock.restocks": set(),
    "stock.reservations": {"released_at"},
    "kitchen.order_status_history": set(),
    "notification.notifications": {"delivered_at"},
}
"""The columns that may change nevertheless."""

WHOLE_TABLE = {
    "SELECT": "SELECT FROM {table}",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table}",
    "TRIGGER": "CREATE TRIGGER mine BEFORE UPDATE ON {table} FOR EACH ROW"
    " EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
    "MAINTAIN": "REINDEX TABLE {table}",
}
UPDATE = "UPDATE {table} SET {column} = DEFAULT WHERE false"

COLUMNS = """
SELECT format('%I.%I', n.nspname, c.relname) AS table, a.attname AS column
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
"""

Right = tuple[str, str]
"""A table, and a verb or `UPDATE column`."""


def declaration(service: str) -> str:
    package = find_spec(f"cafeteria.{service}")
    assert package
    assert package.submodule_search_locations
    folder = Path(next(iter(package.submodule_search_locations)))
    return (folder / "migrations" / "grants.sql").read_text(encoding="utf-8")


def declared(service: str) -> set[Right]:
    text = re.sub(r"--.*", "", declaration(service))
    return {
        (f"{service}.{table}", right)
        for verbs, table in re.findall(r"GRANT\s+([^;]+?)\s+ON\s+(\w+)\s+TO", text)
        for right in rights_in(verbs)
    }


def rights_in(verbs: str) -> Iterator[str]:
    for verb, columns in re.findall(r"(\w+)\s*(?:\(([^)]*)\))?\s*(?:,|$)", verbs):
        yield from (f"{verb} {column}" for column in re.findall(r"\w+", columns)) if columns else (verb,)


@pytest.fixture(scope="module")
async def columns(servers: FixtureServers) -> dict[str, list[str]]:
    """The columns of every table of every service."""
    async with servers.database_as_admin() as admin:
        rows = await admin.fetch(COLUMNS, list(SERVICES))
    tables: dict[str, list[str]] = {}
    for row in rows:
        tables.setdefault(row["table"], []).append(row["column"])
    return tables


async def is_refused(connection: asyncpg.Connection, statement: str) -> bool:
    """Try the statement and undo it. Any other error, as of a constraint, means that the right is there."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        await connection.execute(statement)
    except REFUSED as error:
        return "sequence" not in str(
            error
        )  # the table's right is there; a default that nobody uses is asked for
    except asyncpg.PostgresError:
        return False
    finally:
        await attempt.rollback()
    return False


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_can_do_what_is_declared_and_nothing_else_to_any_table(
    servers: FixtureServers, columns: dict[str, list[str]], role: str
) -> None:
    async with servers.database_as(role) as connection:
        granted = {
            (table, right)
            for table, names in columns.items()
            for right, statement in attempts(table, names)
            if not await is_refused(connection, statement)
        }
    assert granted == declared(role)


def attempts(table: str, columns: list[str]) -> Iterator[tuple[str, str]]:
    """Return the attempt of each right, by right."""
    yield from ((verb, sql.format(table=table)) for verb, sql in WHOLE_TABLE.items())
    yield from ((f"UPDATE {column}", UPDATE.format(table=table, column=column)) for column in columns)


@pytest.mark.parametrize("role", SERVICES)
async def test_no_role_has_a_right_that_it_could_pass_on_or_refer_by(
    servers: FixtureServers, columns: dict[str, list[str]], role: str
) -> None:
    async with servers.database_as_admin() as admin:
        for table in columns:
            for right in ("REFERENCES", "TRIGGER", "MAINTAIN", "TRUNCATE", "SELECT WITH GRANT OPTION"):
                assert not await admin.fetchval("SELECT has_table_privilege($1, $2, $3)", role, table, right)
            assert not await admin.fetchval(
                "SELECT has_any_column_privilege($1, $2, 'REFERENCES')", role, table
            )


@pytest.mark.parametrize("role", SERVICES)
async def test_no_role_can_use_a_sequence(servers: FixtureServers, role: str) -> None:
    async with servers.database_as_admin() as admin, servers.database_as(role) as connection:
        sequences = await admin.fetch(
            "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE schemaname = ANY($1)",
            list(SERVICES),
        )
        assert sequences
        for (sequence,) in sequences:
            for statement in (f"SELECT nextval('{sequence}')", f"SELECT setval('{sequence}', 1)"):
                with pytest.raises(REFUSED):
                    await connection.execute(statement)


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_can_call_the_functions_that_are_declared_and_no_others(
    servers: FixtureServers, role: str
) -> None:
    named = re.findall(r"GRANT\s+EXECUTE\s+ON\s+FUNCTION\s+(\w+)", declaration(role))
    async with servers.database_as_admin() as admin:
        callable_ = await admin.fetch(
            "SELECT format('%s.%s', pronamespace::regnamespace, proname) FROM pg_proc"
            " WHERE pronamespace::regnamespace::text = ANY($1) AND has_function_privilege($2, oid, 'EXECUTE')",
            list(SERVICES),
            role,
        )
    assert {row[0] for row in callable_} == {f"{role}.{name}" for name in named}


def test_records_are_never_deleted_and_ledgers_never_changed() -> None:
    rights = set().union(*map(declared, SERVICES))
    assert {table for table, right in rights if right == "DELETE"}.isdisjoint(NEVER_DELETED)
    assert not [right for _, right in rights if right == "UPDATE"], "UPDATE names its columns"
    for table, may_change in NEVER_CHANGED.items():
        changed = {
            right.removeprefix("UPDATE ") for each, right in rights if each == table and "UPDATE" in right
        }
        assert changed == may_change, table


@pytest.mark.parametrize("service", SERVICES)
def test_a_column_that_may_change_is_one_that_the_service_sets(service: str) -> None:
    """A right does not outlive its statement. Shared statements are in the chassis."""
    package, chassis = find_spec(f"cafeteria.{service}.repository"), find_spec("cafeteria.chassis.messaging")
    assert package
    assert chassis
    folders = [*(package.submodule_search_locations or ()), *(chassis.submodule_search_locations or ())]
    source = "\n".join(path.read_text() for folder in folders for path in Path(folder).glob("*.py"))
    locked_by = {"stock.operations": {"created_at"}}
    for table, right in declared(service):
        verb, _, column = right.partition(" ")
        if verb == "UPDATE" and column not in locked_by.get(table, ()):
            is_set = re.search(rf"\b{column}\s*=[^=]", source) or (table, column) in SET_BY_NAME
            assert is_set, f"nothing sets {table}.{column}"


SET_BY_NAME = {("stock.items", column) for column in ("name", "price", "on_sale")}
"""A PATCH names its columns at run time."""
