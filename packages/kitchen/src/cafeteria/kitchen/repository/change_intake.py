"""SQL of the intake: one row, which the last writer decides. The database's clock ends a pause, the same for all replicas.

Before the first change there is no row: the kitchen is open, and adds no delay.
"""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Row, Statement
from cafeteria.contracts.kitchen import ChangeIntake, Intake

_COLUMNS = """is_open OR coalesce(reopens_at <= now(), false) AS is_open,
    CASE WHEN reopens_at > now() THEN reopens_at END AS reopens_at, delay_s, changed_by, changed_at"""

INTAKE = f"SELECT {_COLUMNS} FROM kitchen.intake"  # noqa: S608 - put together from constants
"""For statements that read the intake together with other things; see `to_intake`."""

_READ = Statement(INTAKE)
_WRITE = Statement(f"""
INSERT INTO kitchen.intake AS intake (id, is_open, reopens_at, delay_s, changed_by, changed_at)
VALUES (1, CAST(:is_open AS boolean),
    CASE WHEN NOT CAST(:is_open AS boolean) THEN now() + CAST(:minutes AS integer) * interval '1 minute' END,
    CAST(:delay_s AS integer), CAST(:actor AS text), now())
ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, reopens_at = excluded.reopens_at, delay_s = excluded.delay_s,
    changed_by = excluded.changed_by, changed_at = excluded.changed_at
RETURNING {_COLUMNS}
""")  # noqa: S608 - put together from constants


async def read_intake(connection: AsyncConnection) -> Intake:
    rows = await _READ.rows(connection, {})
    return to_intake(rows[0] if rows else None)


async def write_intake(connection: AsyncConnection, wanted: ChangeIntake, *, actor: str) -> Intake:
    parameters: dict[str, Any] = {
        "is_open": wanted.is_open,
        "minutes": wanted.minutes,
        "delay_s": wanted.delay_s,
        "actor": actor,
    }
    [row] = await _WRITE.rows(connection, parameters)
    return to_intake(row)


def to_intake(row: Row | None) -> Intake:
    """Return the intake; without a row, or from an outer join without one, nobody has changed it yet."""
    if row is None or row.is_open is None:
        return Intake(is_open=True, reopens_at=None, delay_s=0, by=None, at=None)
    return Intake(
        is_open=row.is_open,
        reopens_at=row.reopens_at,
        delay_s=row.delay_s,
        by=row.changed_by,
        at=row.changed_at,
    )
