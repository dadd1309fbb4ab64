"""Count load: how many tickets wait, cook, and are ready."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import earliest_id
from cafeteria.chassis.runtime.single_flight import SingleFlight
from cafeteria.contracts.kitchen import Load
from cafeteria.kitchen.domain import READY_COUNTS_FOR
from cafeteria.kitchen.repository import count_load

VALID_FOR_S = 1.0  # counting a long queue for each of hundreds of requests would make it longer


class CountLoad:
    """Counts at most once a second. `stations` is None where people cook by hand."""

    def __init__(self, database: Database, *, stations: int | None) -> None:
        self._database = database
        self._stations = stations
        self._load = SingleFlight(self._count, valid_for_s=VALID_FOR_S)

    async def __call__(self) -> Load:
        """Return the counts of tickets by state, at most a second old."""
        return await self._load.get()

    async def _count(self) -> Load:
        async with self._database.statement() as connection:
            return await count_load.count_load(
                connection, stations=self._stations, ready_since=earliest_id(now() - READY_COUNTS_FOR)
            )
