"""The outbox commits a change and its message together: the row is part of the caller's transaction.

A row is deleted only after the server has acknowledged the message that holds it, so a row may be sent twice and is
never lost; receivers recognize a repeat by their own UNIQUE constraints.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.channels import Topic

MAX_BODY_BYTES = 64 * 1024
IS_KEY = {"is_key": True}

_ENCODER = msgspec.json.Encoder()


class OutboxMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An item to publish to a stream. `key` and `version` identify the record's state that it reports."""

    key: UUID
    version: int
    subject: str
    body: bytes


class OutboxRow(msgspec.Struct, frozen=True):
    """A stored outbox row, as the relay publishes it. `message_id` is unique; the INSERT assigns it."""

    id: int
    subject: str
    message_id: UUID
    body: bytes


def outbox_message(topic: Topic[Any], item: msgspec.Struct, *, key: UUID, version: int) -> OutboxMessage:
    """Encode `item`, one element of the list in a message on `topic`."""
    return OutboxMessage(key=key, version=version, subject=topic.subject, body=_ENCODER.encode(item))


def outbox_table(base: type[DeclarativeBase], *, key: str) -> sa.Table:
    """Define the outbox table of one schema; `key` is the name of the column that holds the key of the record."""
    return sa.Table(
        "outbox",
        base.metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        # Delivery reconciliation checks whether a message for this record is waiting already.
        sa.Column(key, sa.Uuid, nullable=False, index=True, info=IS_KEY),
        sa.Column("version", sa.SmallInteger, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("message_id", sa.Uuid, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        # Any single item must fit into a message.
        sa.CheckConstraint(f"octet_length(body) <= {MAX_BODY_BYTES}", name="body_fits_a_message"),
    )


def insert_rows(table: str, *, key: str, source: str) -> str:
    """Return the SQL that inserts the rows of `source`, a CTE or a table expression, in the order of its `place`.

    `source` has the columns of `key`, version, subject, body and place. Rows are published in the order of their insertion.
    """
    return f"""INSERT INTO {table} ({key}, version, subject, message_id, body)
        SELECT {key}, version, subject, uuidv7(), body FROM {source} ORDER BY place"""  # noqa: S608 - names of the schema


class Outbox:
    """Writes and counts the rows of one schema's outbox. Its relay reads and deletes them: `leased_outbox`."""

    def __init__(self, table: sa.Table) -> None:
        self.name = name = f"{table.schema}.{table.name}"
        self.schema = str(table.schema)
        [key] = [column.name for column in table.columns if column.info == IS_KEY]
        self._insert = Statement(
            insert_rows(
                name,
                key=key,
                source=f"""unnest(CAST(:keys AS uuid[]), CAST(:versions AS smallint[]), CAST(:subjects AS text[]),
                    CAST(:bodies AS bytea[])) WITH ORDINALITY AS message ({key}, version, subject, body, place)""",
            )
        )
        self._count = Statement(
            f"SELECT count(*) AS rows FROM (SELECT FROM {name} LIMIT :limit) AS row"  # noqa: S608 - a table's name
        )

    async def add(self, connection: AsyncConnection, messages: Sequence[OutboxMessage]) -> None:
        """Insert the messages in the caller's transaction, in the given order; earlier rows are published first."""
        if not messages:
            return
        await self._insert.rows(
            connection,
            {
                "keys": [message.key for message in messages],
                "versions": [message.version for message in messages],
                "subjects": [message.subject for message in messages],
                "bodies": [message.body for message in messages],
            },
        )

    async def count(self, connection: AsyncConnection, *, limit: int) -> int:
        """Return the number of rows, at most `limit`."""
        [counted] = await self._count.rows(connection, {"limit": limit})
        return int(counted.rows)
