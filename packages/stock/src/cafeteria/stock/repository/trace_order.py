"""SQL of what stock knows of one order: its decision, and what the ledger says."""

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.ops import TraceFact

_FACTS = Statement("""
SELECT f.at, f.what, CAST(jsonb_strip_nulls(f.detail) AS text) AS detail
FROM (
    SELECT r.order_id, r.decided_at, lower(r.decision), jsonb_build_object('reason', r.reason)
    FROM stock.reservations AS r
    UNION ALL
    SELECT t.order_id, t.created_at, CASE t.kind WHEN 'DEDUCT' THEN 'deducted' ELSE 'given-back' END, jsonb_build_object(
        'item_id', CAST(t.item_id AS text), 'name', i.name, 'portions', CAST(abs(t.quantity_deducted) AS text))
    FROM stock.stock_transactions AS t JOIN stock.items AS i ON i.id = t.item_id
    UNION ALL
    SELECT r.order_id, r.released_at, 'released', jsonb_build_object()
    FROM stock.reservations AS r
) AS f (order_id, at, what, detail)
WHERE f.order_id = CAST(:order_id AS uuid) AND f.at IS NOT NULL
ORDER BY f.at
""")
_DETAIL = msgspec.json.Decoder(dict[str, str])


async def read_facts(connection: AsyncConnection, order_id: UUID) -> tuple[TraceFact, ...]:
    """Return the facts by time; none for an order that was never heard of."""
    rows = await _FACTS.rows(connection, {"order_id": order_id})
    return tuple(TraceFact(at=row.at, what=row.what, detail=_DETAIL.decode(row.detail)) for row in rows)
