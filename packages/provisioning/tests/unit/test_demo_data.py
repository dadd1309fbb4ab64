"""The demo's dishes are written past stock's API, so their names are held against its rule here."""

from cafeteria.chassis.runtime.visible_text import as_name
from cafeteria.provisioning.demo_data import MENU


def test_a_demo_dish_is_named_as_an_operator_could_name_it() -> None:
    assert [dish.name for dish in MENU] == [as_name(dish.name) for dish in MENU]
