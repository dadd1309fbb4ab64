"""SQL of the delivery check: which order versions the log lacks."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.values import OrderVersion

_MISSING = Statement("""
SELECT place FROM unnest(CAST(:order_ids AS uuid[]), CAST(:versions AS smallint[]))
    WITH ORDINALITY AS item (order_id, version, place)
WHERE (
    SELECT logged.id FROM notification.notifications AS logged
    WHERE logged.order_id = item.order_id AND logged.version = item.version
) IS NULL
""")


async def read_missing(connection: AsyncConnection, items: Sequence[OrderVersion]) -> list[OrderVersion]:
    rows = await _MISSING.rows(
        connection,
        {"order_ids": [item.order_id for item in items], "versions": [item.version for item in items]},
    )
    return [items[place - 1] for place in sorted(row.place for row in rows)]
