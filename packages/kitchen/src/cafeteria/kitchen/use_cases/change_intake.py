"""Pause or open the intake of orders, and add to every ready time. The last change counts; a pause may end by itself."""

from collections.abc import Callable

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.contracts.kitchen import ChangeIntake, Intake
from cafeteria.kitchen.repository import change_intake

_log = get_logger()


class IntakeSwitch:
    """Reads and changes the intake. `on_changed` is called after the commit of a change."""

    def __init__(self, database: Database, *, on_changed: Callable[[], None]) -> None:
        self._database = database
        self._on_changed = on_changed

    async def read(self) -> Intake:
        async with self._database.statement() as connection:
            return await change_intake.read_intake(connection)

    async def change(self, wanted: ChangeIntake, *, actor: str) -> Intake:
        """Return the intake after the change."""
        async with self._database.statement() as connection:
            intake = await change_intake.write_intake(connection, wanted, actor=actor)
        self._on_changed()
        _log.info(
            "intake_changed",
            actor=actor,
            is_open=intake.is_open,
            delay_s=intake.delay_s,
            reopens_at=intake.reopens_at and intake.reopens_at.isoformat(),
        )
        return intake
