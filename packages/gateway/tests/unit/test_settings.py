"""Settings from the environment."""

import pytest

from cafeteria.chassis.runtime.settings import SettingsError, load_settings
from cafeteria.gateway.settings import GatewaySettings

COMPLETE = {
    "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:5432/cafeteria",
    "CAFETERIA_POSTGRES_PASSWORD": "p",
    "CAFETERIA_NATS_URL": "nats://127.0.0.1:4222",
    "CAFETERIA_NATS_PASSWORD": "n",
}


def test_without_variables_the_limits_are_those_of_the_design() -> None:
    settings = load_settings(GatewaySettings, COMPLETE)
    assert settings.pending_limit == 2_000
    assert settings.listen_port("gateway") == 8000


def test_the_error_names_all_wrong_settings_at_once() -> None:
    wrong = {**COMPLETE, "GATEWAY_POOL_SIZE": "2", "GATEWAY_PENDING_LIMIT": "none"}
    with pytest.raises(SettingsError) as refused:
        load_settings(GatewaySettings, wrong)
    assert len(refused.value.sentences) == 2
