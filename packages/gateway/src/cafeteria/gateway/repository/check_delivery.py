"""Read which versions of orders are missing."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.values import OrderVersion

_MISSING = Statement("""
SELECT item.order_id, item.version
FROM unnest(CAST(:order_ids AS uuid[]), CAST(:versions AS smallint[])) AS item (order_id, version)
LEFT JOIN gateway.orders AS o ON o.id = item.order_id AND o.version >= item.version
WHERE o.id IS NULL
""")


async def find_missing(
    connection: AsyncConnection, items: Sequence[OrderVersion]
) -> tuple[OrderVersion, ...]:
    """Return those of `items` that are not stored in that version or a greater one."""
    rows = await _MISSING.rows(
        connection,
        {
            "order_ids": [item.order_id for item in items],
            "versions": [item.version for item in items],
        },
    )
    return tuple(OrderVersion(order_id=row.order_id, version=row.version) for row in rows)
