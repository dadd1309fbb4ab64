"""Dead letters keep unreadable or repeatedly failing items for an operator, before their message is acknowledged."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import DeclarativeBase

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.ids import new_id

WHOLE_MESSAGE = -1
"""Replaces an item's index if the message has no readable list of items."""

WRITTEN = metrics.counter(
    "cafeteria_dead_letters_total", "Items that failed for good: alarm on any", "stream"
)

logger = get_logger()


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a message. `item` is its index, `body` its bytes as received, `error` the reason for the failure."""

    stream: str
    sequence: int
    stored_at: datetime
    item: int
    subject: str
    message_id: str | None
    body: bytes
    error: str


def dead_letters_table(base: type[DeclarativeBase]) -> sa.Table:
    """Define the dead letter table of one schema."""
    return sa.Table(
        "dead_letters",
        base.metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        # When the stream stored the message: after a lost store its sequences restart at 1.
        sa.Column("stored_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("item", sa.SmallInteger, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("body_digest", sa.LargeBinary, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        # A redelivered item has one row,
        sa.UniqueConstraint("stream", "sequence", "stored_at", "item"),
        # and so has an item that is sent again in another message because it is still missing at the receiver.
        sa.UniqueConstraint("subject", "body_digest"),
    )


class DeadLetters:
    """Stores the dead letters of one schema; logs and counts each stored one once."""

    def __init__(self, database: Database, table: sa.Table) -> None:
        self._database = database
        self._table = table
        WRITTEN.metric()  # so that it is there, and can be seen to rise, before the first one

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """Store the letters in one commit. Raises DatabaseUnavailable: then do not acknowledge the message."""
        rows = {row["body_digest"]: row for row in map(_row_of, letters)}
        statement = insert(self._table).on_conflict_do_nothing().returning(self._table.c.body_digest)
        async with self._database.transaction() as connection:
            written = (await connection.execute(statement.values(list(rows.values())))).scalars().all()
        for row in map(rows.__getitem__, written):
            WRITTEN.labels(row["stream"]).inc()
            logger.error(
                "message_dead_lettered",
                stream=row["stream"],
                sequence=row["sequence"],
                item=row["item"],
                reason=row["error"],
            )


def _row_of(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": new_id(),
        **msgspec.structs.asdict(letter),
        "subject": _storable(letter.subject),
        "message_id": letter.message_id and _storable(letter.message_id),
        "body_digest": sha256(letter.body).digest(),
        "error": _storable(letter.error),
    }


def _storable(text: str) -> str:
    """Replace NUL and lone surrogates, which Postgres does not store."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
