"""The kitchen's environment: whether it cooks by itself, at how many stations, and how long an order takes."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from cafeteria.chassis.runtime.settings import ServiceSettings

Stations = Annotated[int, Meta(ge=1, le=10_000, description="a whole number from 1 to 10000")]
Seconds = Annotated[float, Meta(ge=0, le=86_400, description="a number of seconds from 0 to 86400")]


class Mode(StrEnum):
    AUTO = "auto"
    MANUAL = "manual"


class KitchenSettings(ServiceSettings, frozen=True, kw_only=True):
    """The kitchen's settings. Stations and times apply to `auto` alone; all replicas must agree on them."""

    mode: Mode = field(name="KITCHEN_MODE", default=Mode.AUTO)
    stations: Stations = field(name="KITCHEN_STATIONS", default=50)
    prep_min_s: Seconds = field(name="KITCHEN_PREP_MIN_S", default=3.0)
    prep_max_s: Seconds = field(name="KITCHEN_PREP_MAX_S", default=7.0)

    def __post_init__(self) -> None:
        if self.prep_min_s > self.prep_max_s:
            raise ValueError("KITCHEN_PREP_MIN_S must not be more than KITCHEN_PREP_MAX_S.")

    @property
    def cooks_by_itself(self) -> bool:
        return self.mode is Mode.AUTO

    @property
    def counted_stations(self) -> int | None:
        """The total of all replicas; None where people start and finish tickets."""
        return self.stations if self.cooks_by_itself else None
