"""The live schema is the architecture's: each table and column by name, type, nullability and constraint."""

import re
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from cafeteria.contracts.subjects import SERVICES

# The architecture document's tables and columns first; what this system adds to them is marked +.
# TIMESTAMP there is timestamptz here, JSON is jsonb, DECIMAL is numeric(10,2). A column may be NULL only where
# it says so. Constraints: key, unique, "-> table" (a foreign key), ">= 0" and "status" (a CHECK that names it).
DOCUMENTED = """
identity.users
    id uuid key
    student_id varchar unique
    password_hash text
    created_at timestamptz
    updated_at timestamptz
    + full_name varchar null
    + role varchar status
    + disabled_at timestamptz null
    + one_time_until timestamptz null
identity.login_attempts
    id uuid key
    user_id uuid null -> identity.users
    attempted_at timestamptz
    success boolean
    response_time_ms integer
    + student_id varchar
    + client_ip inet null
    + outcome varchar status
identity.login_windows +
identity.sender_windows +
identity.refresh_tokens +
    + family uuid
    + used_at timestamptz null
    + expires_at timestamptz
    + successors smallint
gateway.orders
    id uuid key
    student_id varchar
    status varchar status
    created_at timestamptz
    updated_at timestamptz
    + lines jsonb
    + total numeric(13,2) null
    + version smallint
    + expires_at timestamptz
    + next_ask_at timestamptz null
    + rejection_reason varchar null status
    + status_times jsonb
    + kitchen_seen_at timestamptz null
    + notified_version smallint
    + released_at timestamptz null
gateway.idempotency_keys
    id uuid key
    order_id uuid unique -> gateway.orders
    key varchar unique
    response_snapshot jsonb
    created_at timestamptz
    + request_hash bytea
    + response_status smallint null
    + response_body bytea null
gateway.outbox +
gateway.relay_lease +
    + holder text
    + until timestamptz
gateway.dead_letters +
stock.items
    id uuid key
    name varchar
    price numeric(10,2)
    created_at timestamptz
    + on_sale boolean
stock.inventory
    id uuid key
    item_id uuid unique -> stock.items
    quantity integer >= 0
    version integer
    updated_at timestamptz
stock.stock_transactions
    id uuid key
    order_id uuid
    item_id uuid -> stock.items
    quantity_deducted integer
    created_at timestamptz
    + kind varchar status
stock.reservations +
    + order_id uuid key
    + decision varchar status
    + reason varchar null status
    + lines jsonb
    + decided_at timestamptz
    + released_at timestamptz null
stock.restocks +
    + id uuid key
    + item_id uuid -> stock.items
    + quantity integer >= 0
    + actor varchar
    + created_at timestamptz
stock.operations +
    + key varchar key
    + request_hash bytea
    + response_status smallint
    + response_body bytea
    + created_at timestamptz
kitchen.kitchen_orders
    id uuid key
    order_id uuid unique
    status varchar status
    received_at timestamptz
    started_at timestamptz null
    completed_at timestamptz null
    + student_id varchar
    + lines jsonb
    + version smallint
    + status_times jsonb
    + due_at timestamptz null
    + collected_at timestamptz null
    + gateway_version smallint
    + notified_version smallint
    + number bigint unique
    + refusal varchar null
    + quoted_from timestamptz null
    + quoted_to timestamptz null
    + quoted_at_once boolean null
kitchen.order_status_history
    id uuid key
    kitchen_order_id uuid -> kitchen.kitchen_orders
    status varchar status
    changed_at timestamptz
kitchen.intake +
    + is_open boolean
    + reopens_at timestamptz null
    + delay_s integer
    + changed_by varchar
    + changed_at timestamptz
kitchen.outbox +
kitchen.pickup_key +
    + key bytea
kitchen.relay_lease +
    + holder text
    + until timestamptz
kitchen.dead_letters +
notification.notifications
    id uuid key
    order_id uuid
    student_id varchar
    status_sent varchar status
    sent_at timestamptz
    + version smallint
    + position bigint unique
    + delivered_at timestamptz null
    + pickup_number smallint null
    + pickup_code varchar null
notification.position_counter +
    + position bigint
    + stream_epoch varchar
    + stream_sequence bigint
notification.dead_letters +
"""

UNIQUE_TOGETHER = (
    ("stock.stock_transactions", ("order_id", "item_id", "kind")),
    ("notification.notifications", ("order_id", "version")),
)

READ_ONLY = {"kitchen.pickup_key"}

APPEND_ONLY = {
    "identity.login_attempts",
    "stock.stock_transactions",
    "stock.restocks",
    "kitchen.order_status_history",
    "gateway.dead_letters",
    "kitchen.dead_letters",
    "notification.dead_letters",
    "notification.notifications",
}

SHORT_NAMES = {"timestamp with time zone": "timestamptz", "character varying": "varchar"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column, and the constraints on it alone; `checks` is the text of every CHECK that names it."""

    kind: str
    is_nullable: bool
    is_key: bool
    is_unique: bool
    refers_to: str | None
    checks: tuple[str, ...]


Schema = dict[str, dict[str, Column]]


def documented() -> dict[str, dict[str, str]]:
    """The rules of each column by table."""
    tables: dict[str, dict[str, str]] = {}
    for line in DOCUMENTED.strip().splitlines():
        if line.startswith(" "):
            name, rule = line.removeprefix("    ").removeprefix("+ ").split(" ", 1)
            tables[list(tables)[-1]][name] = rule
        else:
            tables[line.removesuffix(" +")] = {}
    return tables


COLUMNS = [
    (table, column, rule) for table, columns in documented().items() for column, rule in columns.items()
]


@pytest.fixture(scope="module")
async def live(servers: Any) -> Schema:
    async with servers.database_as_admin() as connection:
        return await read_schema(connection)


async def read_schema(connection: asyncpg.Connection) -> Schema:
    columns = await connection.fetch(
        """
        SELECT attrelid::regclass::text AS table, attname AS column, attnotnull AS is_required,
            format_type(atttypid, atttypmod) AS kind
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relkind = 'r' AND relnamespace::regnamespace::text = ANY($1) AND attnum > 0 AND NOT attisdropped
        """,
        list(SERVICES),
    )
    constraints = await connection.fetch(
        """
        SELECT conrelid::regclass::text AS table, contype::text AS kind, confrelid::regclass::text AS other,
            pg_get_constraintdef(oid) AS text,
            ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey)) AS columns
        FROM pg_constraint WHERE connamespace::regnamespace::text = ANY($1)
        """,
        list(SERVICES),
    )
    schema: Schema = {}
    for row in columns:
        mine = [
            each for each in constraints if each["table"] == row["table"] and row["column"] in each["columns"]
        ]
        schema.setdefault(row["table"], {})[row["column"]] = column_of(row, mine)
    return schema


def column_of(row: Any, constraints: list[Any]) -> Column:
    alone = [each for each in constraints if len(each["columns"]) == 1]
    referred = [each["other"] for each in alone if each["kind"] == "f"]
    return Column(
        kind=re.sub(r"^[a-z ]+", lambda name: SHORT_NAMES.get(name[0], name[0]), row["kind"]),
        is_nullable=not row["is_required"],
        is_key=any(each["kind"] == "p" for each in alone),
        is_unique=any(each["kind"] == "u" for each in alone),
        refers_to=referred[0] if referred else None,
        checks=tuple(each["text"] for each in constraints if each["kind"] == "c"),
    )


@pytest.mark.parametrize(("table", "column", "rule"), COLUMNS, ids=lambda part: str(part).partition(" ")[0])
def test_a_column_is_as_documented(live: Schema, table: str, column: str, rule: str) -> None:
    found = live[table][column]
    kind, *words = rule.split()
    assert found.kind == kind
    assert found.is_nullable == ("null" in words)
    assert found.is_key == ("key" in words)
    assert found.is_unique == ("unique" in words)
    assert found.refers_to == (words[words.index("->") + 1] if "->" in words else None)
    if ">=" in words:
        assert any(f"{column} >= 0" in check for check in found.checks)
    if "status" in words:
        assert any("ANY" in check for check in found.checks), "no CHECK lists what it may be"


def test_every_documented_table_is_there_and_none_in_secret(live: Schema) -> None:
    """`alembic_version` is the migrations' own; `open_orders` is an index of notification's, as a table."""
    services = {table.partition(".")[0] for table in documented()}
    extra = {f"{service}.alembic_version" for service in services} | {"notification.open_orders"}
    there = {table for table in live if table.partition(".")[0] in services}
    assert there == {*documented(), *extra}


@pytest.mark.parametrize(("table", "columns"), UNIQUE_TOGETHER)
async def test_what_is_unique_together(servers: Any, table: str, columns: tuple[str, ...]) -> None:
    async with servers.database_as_admin() as connection:
        found = await connection.fetch(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'u'",
            table,
        )
    assert f"UNIQUE ({', '.join(columns)})" in {row[0] for row in found}


async def test_no_key_crosses_a_schema(live: Schema) -> None:
    for table, columns in live.items():
        for column in columns.values():
            assert column.refers_to is None or column.refers_to.split(".")[0] == table.split(".")[0]


@pytest.mark.parametrize("table", [table for table in documented() if not table.endswith("alembic_version")])
async def test_a_service_may_change_columns_of_its_tables_and_no_ledger(servers: Any, table: str) -> None:
    role = table.partition(".")[0]
    async with servers.database_as_admin() as connection:
        granted = {
            right
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
            if await connection.fetchval("SELECT has_table_privilege($1, $2, $3)", role, table, right)
        }
        others = [
            service
            for service in SERVICES
            if service != role
            and await connection.fetchval("SELECT has_schema_privilege($1, $2, 'USAGE')", service, role)
        ]
    if table in READ_ONLY:
        assert granted == {"SELECT"}
    elif table in APPEND_ONLY:
        assert granted == {"SELECT", "INSERT"}
    else:
        assert {"SELECT", "INSERT"} <= granted <= {"SELECT", "INSERT", "DELETE"}
    assert others == []
