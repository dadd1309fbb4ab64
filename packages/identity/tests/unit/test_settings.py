"""Identity's settings: the accepted values, and the errors for others."""

import pytest

from cafeteria.chassis.runtime.settings import SettingsError, load_settings
from cafeteria.identity.settings import IdentitySettings

NEEDED = {
    "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:5432/cafeteria",
    "CAFETERIA_POSTGRES_PASSWORD": "p",
    "CAFETERIA_NATS_URL": "nats://127.0.0.1:4222",
    "CAFETERIA_NATS_PASSWORD": "n",
    "IDENTITY_SIGNING_KEY_FILE": "/run/secrets/identity.pem",
}


def test_the_defaults_are_those_of_the_public_interface() -> None:
    settings = load_settings(IdentitySettings, NEEDED)
    assert settings.access_token_s == 900
    assert (settings.logins_per_client, settings.login_window_s) == (3, 60)
    assert (settings.failures_per_client, settings.audit_days) == (60, 90)
    assert settings.trusted_proxies == ()
    assert not settings.secure_cookies


def test_proxies_are_addresses_and_networks() -> None:
    environ = {**NEEDED, "IDENTITY_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,2001:db8::/32"}
    networks = load_settings(IdentitySettings, environ).trusted_networks()
    assert [str(each) for each in networks] == ["127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("IDENTITY_TRUSTED_PROXIES", "the-proxy"),
        ("IDENTITY_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("IDENTITY_ACCESS_TOKEN_S", "0"),
        ("IDENTITY_HASH_NICENESS", "20"),
        ("IDENTITY_LOGINS_PER_CLIENT", "none"),
        ("IDENTITY_FAILURES_PER_CLIENT", "0"),
        ("IDENTITY_AUDIT_DAYS", "6"),
    ],
)
def test_a_wrong_value_is_named_at_the_start(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load_settings(IdentitySettings, {**NEEDED, variable: value})


def test_the_signing_key_is_required() -> None:
    environ = {name: value for name, value in NEEDED.items() if name != "IDENTITY_SIGNING_KEY_FILE"}
    with pytest.raises(SettingsError, match="IDENTITY_SIGNING_KEY_FILE is not set"):
        load_settings(IdentitySettings, environ)
