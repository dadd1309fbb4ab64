"""SQL of the ledger's pages."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.contracts.stock import StockTransaction, TransactionKind
from cafeteria.stock.tables import StockTransactionRow


async def read_page(
    connection: AsyncConnection, item_id: UUID, *, before: UUID | None, limit: int
) -> list[tuple[UUID, StockTransaction]]:
    """Return ledger entries with their ids, newest first, beginning after the entry `before`."""
    query = select(StockTransactionRow.__table__).where(StockTransactionRow.item_id == item_id)
    if before is not None:
        query = query.where(StockTransactionRow.id < before)
    rows = await connection.execute(query.order_by(StockTransactionRow.id.desc()).limit(limit))
    return [(row.id, _transaction(row)) for row in rows]


def _transaction(row: Any) -> StockTransaction:
    return StockTransaction(
        order_id=row.order_id,
        item_id=row.item_id,
        quantity_deducted=row.quantity_deducted,
        kind=TransactionKind(row.kind),
        created_at=row.created_at,
    )
