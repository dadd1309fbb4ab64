"""Read the menu, as stock has published it."""

from time import monotonic

from cafeteria.contracts.gateway import Menu
from cafeteria.gateway.availability_cache import AvailabilityCache


class ReadMenu:
    def __init__(self, availability: AvailabilityCache) -> None:
        self._availability = availability

    def __call__(self) -> Menu:
        return self._availability.menu(at_s=monotonic())
