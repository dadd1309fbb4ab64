"""SQL of the stored answers to operators' requests with an Idempotency-Key."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.stock.domain import Answer, Operation
from cafeteria.stock.errors import IdempotencyKeyReused
from cafeteria.stock.tables import OperationRow


class KeyTaken(Exception):
    """Another request with the same key was faster: the transaction of this request must be rolled back."""


async def find_answer(connection: AsyncConnection, operation: Operation) -> Answer | None:
    """Return the stored answer, if any. Raises IdempotencyKeyReused when the key belongs to another request."""
    found = await connection.execute(select(OperationRow.__table__).where(OperationRow.key == operation.key))
    row = found.one_or_none()
    if row is None:
        return None
    if row.request_hash != operation.request_hash:
        raise IdempotencyKeyReused
    return Answer(status=row.response_status, body=row.response_body, is_replay=True)


async def store_answer(
    connection: AsyncConnection, operation: Operation, answer: Answer, *, now: datetime
) -> None:
    """Store the answer in the transaction of its change.

    It waits for another transaction with the same key, and raises KeyTaken if that one commits.
    """
    stored = await connection.execute(
        upsert(OperationRow)
        .values(
            key=operation.key,
            request_hash=operation.request_hash,
            response_status=answer.status,
            response_body=answer.body,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(OperationRow.key)
    )
    if stored.one_or_none() is None:
        raise KeyTaken
