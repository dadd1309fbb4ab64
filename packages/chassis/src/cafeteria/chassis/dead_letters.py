"""A message that cannot be decoded is kept for a person to read, then terminated on its stream."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import DeclarativeBase

from cafeteria.chassis import metrics
from cafeteria.chassis.database import Database
from cafeteria.chassis.ids import new_id
from cafeteria.chassis.logs import get_logger

WRITTEN = metrics.counter(
    "cafeteria_dead_letters_total", "Messages nobody could decode: alarm on any", "stream"
)

logger = get_logger()


def dead_letters_table(base: type[DeclarativeBase]) -> sa.Table:
    """The dead letters of one schema."""
    return sa.Table(
        "dead_letters",
        base.metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        # When the stream took the message: after a lost store its sequences begin again at 1.
        sa.Column("stored_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        # Redelivery of the same poison keeps one row.
        sa.UniqueConstraint("stream", "sequence", "stored_at"),
    )


class DeadLetters:
    """Writes the dead letters of one schema and raises the alarm."""

    def __init__(self, database: Database, table: sa.Table) -> None:
        self._database = database
        self._table = table

    async def add(
        self,
        *,
        stream: str,
        sequence: int,
        stored_at: datetime,
        subject: str,
        message_id: str | None,
        body: bytes,
        error: str,
    ) -> None:
        """Raises DatabaseUnavailable; the message must then not be terminated."""
        row = {
            "id": new_id(),
            "stream": stream,
            "sequence": sequence,
            "stored_at": stored_at,
            "subject": _storable(subject),
            "message_id": message_id and _storable(message_id),
            "body": body,
            "error": _storable(error),
        }
        async with self._database.statement() as connection:
            await connection.execute(insert(self._table).values(row).on_conflict_do_nothing())
        WRITTEN.labels(stream).inc()
        logger.error("message_dead_lettered", stream=stream, sequence=sequence, reason=error)


def _storable(text: str) -> str:
    """Postgres stores neither NUL nor half a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
