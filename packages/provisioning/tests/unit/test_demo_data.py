"""The demo data bypasses stock's API, so this checks its dishes' names against the API's rule."""

from cafeteria.chassis.runtime.visible_text import as_name
from cafeteria.provisioning.demo_data import MENU


def test_a_demo_dish_has_a_name_that_stocks_api_accepts() -> None:
    assert list(MENU) == [as_name(name) for name in MENU]
