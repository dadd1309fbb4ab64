"""What the system keeps about one student: all of it, for the student, or with the name taken out for good.

    python -m cafeteria.provisioning.student_data export 210041101             JSON to standard output
    python -m cafeteria.provisioning.student_data forget 210041101             says what would change
    python -m cafeteria.provisioning.student_data forget 210041101 --apply     changes it

Forgetting replaces the student id by a random one, so that orders, tickets and ledgers still add up. It is one transaction.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from cafeteria.provisioning import administrator
from cafeteria.provisioning.credentials import Credentials
from cafeteria.provisioning.errors import SettingError, StackError
from cafeteria.provisioning.targets import postgres_admin_url, read_postgres_url, secrets_folder

ROWS_OF_STUDENT = {
    "identity.users": "student_id = $1",
    "identity.login_attempts": "student_id = $1",
    "identity.login_windows": "student_id = $1",
    "identity.refresh_tokens": "user_id IN (SELECT id FROM identity.users WHERE student_id = $1)",
    "gateway.orders": "student_id = $1",
    "gateway.idempotency_keys": "order_id IN (SELECT id FROM gateway.orders WHERE student_id = $1)",
    "kitchen.kitchen_orders": "student_id = $1",
    "kitchen.order_status_history": (
        "kitchen_order_id IN (SELECT id FROM kitchen.kitchen_orders WHERE student_id = $1)"
    ),
    "notification.notifications": "student_id = $1",
    "notification.open_orders": "student_id = $1",
    "stock.restocks": "actor = $1",
}
"""Which rows of a table are about the student, whose id is $1."""

ROWS_OF_ORDERS = {
    "stock.reservations": "order_id = ANY(CAST($1 AS uuid[]))",
    "stock.stock_transactions": "order_id = ANY(CAST($1 AS uuid[]))",
}
"""Tables that know orders, and no student. $1 are the ids of the student's orders: no statement joins two schemas."""

SECRET_COLUMNS = ("password_hash", "token_hash", "request_hash", "response_body", "traceparent")
"""What nobody gets, or what only repeats other columns in another form."""

FORGETTING = (
    "UPDATE identity.login_attempts SET student_id = $2, client_ip = NULL WHERE student_id = $1",
    "DELETE FROM identity.login_windows WHERE student_id = $1",
    "DELETE FROM identity.refresh_tokens WHERE user_id IN (SELECT id FROM identity.users WHERE student_id = $1)",
    """UPDATE identity.users SET student_id = $2, full_name = NULL, password_hash = '', one_time_until = NULL, updated_at = now()
        WHERE student_id = $1""",
    """DELETE FROM gateway.idempotency_keys
        WHERE order_id IN (SELECT id FROM gateway.orders WHERE student_id = $1)""",
    "UPDATE gateway.orders SET student_id = $2 WHERE student_id = $1",
    "UPDATE kitchen.kitchen_orders SET student_id = $2 WHERE student_id = $1",
    "UPDATE notification.notifications SET student_id = $2 WHERE student_id = $1",
    "UPDATE stock.restocks SET actor = $2 WHERE actor = $1",
)
"""$1 is the student's id, $2 the one that replaces it."""

_UNFINISHED = """
SELECT (SELECT count(*) FROM gateway.orders
    WHERE student_id = $1 AND (status NOT IN ('REJECTED', 'CANCELLED', 'COLLECTED', 'READY')
        OR next_ask_at IS NOT NULL OR next_check_at IS NOT NULL))
"""
_UNCONFIRMED = "SELECT count(*) FROM kitchen.kitchen_orders WHERE student_id = $1 AND confirm_at IS NOT NULL"
_CAN_ACT = """
SELECT true FROM identity.users
WHERE student_id = $1 AND (disabled_at IS NULL OR disabled_at > now() - interval '1 hour')
"""


class Refused(StackError):
    """Nothing was changed; the sentence says why, and what to do."""


async def export(connection: asyncpg.Connection, student_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return all rows about the student by table, of one moment; tables without any are left out."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        orders = [
            row["id"] for row in await _rows(connection, "gateway.orders", "student_id = $1", student_id)
        ]
        found = {
            table: await _rows(connection, table, condition, student_id)
            for table, condition in ROWS_OF_STUDENT.items()
        }
        for table, condition in ROWS_OF_ORDERS.items():
            found[table] = await _rows(connection, table, condition, orders)
    return {table: rows for table, rows in found.items() if rows}


async def forget(connection: asyncpg.Connection, student_id: str, *, apply: bool) -> dict[str, int]:
    """Return how many rows of which table are changed or deleted; without `apply` all of it is rolled back.

    Raises Refused until the account has been disabled for an hour, and while an order is not finished.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        await _check_finished(connection, student_id)
        changed = {}
        pseudonym = f"forgotten-{secrets.token_hex(8)}"
        for statement in FORGETTING:
            arguments = (student_id, pseudonym) if "$2" in statement else (student_id,)
            status = await connection.execute(statement, *arguments)
            changed[_table_of(statement)] = int(status.rpartition(" ")[2])
    except BaseException:
        await transaction.rollback()
        raise
    await (transaction.commit() if apply else transaction.rollback())
    return {table: rows for table, rows in changed.items() if rows}


async def _check_finished(connection: asyncpg.Connection, student_id: str) -> None:
    if await connection.fetchval(_CAN_ACT, student_id):
        raise Refused(
            f"{student_id} may still have a valid token. Nothing was changed. Disable the account, and try again "
            "an hour later."
        )
    unfinished = await connection.fetchval(_UNFINISHED, student_id)
    unfinished += await connection.fetchval(_UNCONFIRMED, student_id)
    if unfinished:
        raise Refused(
            f"{student_id} has orders that are not finished ({unfinished}). Nothing was changed. Try again when "
            "they are ready or cancelled."
        )


async def _rows(
    connection: asyncpg.Connection, table: str, condition: str, value: Any
) -> list[dict[str, Any]]:
    found = await connection.fetch(
        f"SELECT CAST(to_jsonb(each) - $2::text[] AS text) AS row FROM {table} AS each WHERE {condition}",  # noqa: S608 - both are written above
        value,
        SECRET_COLUMNS,
    )
    return [json.loads(row["row"]) for row in found]


def _table_of(statement: str) -> str:
    words = statement.split()
    return words[2] if words[0] == "DELETE" else words[1]


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="student-data", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("export", help="print all that is kept, as JSON").add_argument("student_id")
    forgetting = commands.add_parser("forget", help="replace the student id by a random one")
    forgetting.add_argument("student_id")
    forgetting.add_argument("--apply", action="store_true", help="without it nothing is changed")
    try:
        print(asyncio.run(_run(parser.parse_args(argv), environ)))  # noqa: T201 - the command's result
    except (StackError, SettingError) as error:
        return _refused(str(error))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return _refused(f"The database does not answer, and nothing was changed: {error}.")
    return 0


def _refused(sentence: str) -> int:
    print(f"student-data: {sentence}", file=sys.stderr)  # noqa: T201 - the command's refusal
    return 1


async def _run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> str:
    url = read_postgres_url(environ)
    if url is None:
        raise SettingError("CAFETERIA_POSTGRES_URL is not set: set it to the URL of the running server.")
    credentials = Credentials.ensure(secrets_folder(environ))
    async with administrator.connected(postgres_admin_url(url, credentials)) as connection:
        if arguments.command == "export":
            return _exported(await export(connection, arguments.student_id), arguments.student_id)
        changed = await forget(connection, arguments.student_id, apply=arguments.apply)
        return _forgotten(changed, arguments)


def _exported(found: Mapping[str, Any], student_id: str) -> str:
    if not found:
        raise Refused(f"Nothing is kept about {student_id}.")
    return json.dumps(found, indent=2, ensure_ascii=False)


def _forgotten(changed: Mapping[str, int], arguments: argparse.Namespace) -> str:
    if not changed:
        raise Refused(f"Nothing is kept about {arguments.student_id}.")
    lines = [f"{table}: {rows} rows" for table, rows in changed.items()]
    end = (
        "Changed."
        if arguments.apply
        else "Nothing was changed. Add --apply to change it; it cannot be undone."
    )
    return "\n".join([*lines, end])


if __name__ == "__main__":
    sys.exit(main())
