"""The kitchen's settings: defaults, modes, and environment variables that make no sense."""

import pytest

from cafeteria.chassis.runtime.settings import SettingsError, load_settings
from cafeteria.kitchen.settings import KitchenSettings, Mode

ENVIRON = {
    "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:5432/cafeteria",
    "CAFETERIA_POSTGRES_PASSWORD": "p",
    "CAFETERIA_NATS_URL": "nats://127.0.0.1:4222",
    "CAFETERIA_NATS_PASSWORD": "n",
}


def test_a_kitchen_cooks_by_itself_at_fifty_stations_by_default() -> None:
    settings = load_settings(KitchenSettings, ENVIRON)

    assert settings.cooks_by_itself
    assert (settings.stations, settings.prep_min_s, settings.prep_max_s) == (50, 3.0, 7.0)


def test_in_manual_mode_the_kitchen_does_not_cook_by_itself() -> None:
    settings = load_settings(KitchenSettings, ENVIRON | {"KITCHEN_MODE": "manual"})

    assert settings.mode is Mode.MANUAL
    assert not settings.cooks_by_itself


def test_cooking_may_take_no_time_at_all() -> None:
    settings = load_settings(
        KitchenSettings, ENVIRON | {"KITCHEN_PREP_MIN_S": "0", "KITCHEN_PREP_MAX_S": "0"}
    )

    assert settings.prep_max_s == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KITCHEN_MODE", "robots"),
        ("KITCHEN_STATIONS", "0"),
        ("KITCHEN_STATIONS", "many"),
        ("KITCHEN_PREP_MIN_S", "-1"),
        ("KITCHEN_PREP_MAX_S", "nan"),
        ("KITCHEN_PREP_MAX_S", "2"),
    ],
)
def test_an_impossible_value_raises_an_error_that_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load_settings(KitchenSettings, ENVIRON | {variable: value})
