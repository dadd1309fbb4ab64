"""A server address in the settings is valid, or an error names its variable and repeats no password."""

import pytest

from cafeteria.chassis.runtime.addresses import bracketed
from cafeteria.provisioning.addresses import (
    MONITOR,
    NATS,
    POSTGRES,
    AddressKind,
    checked,
    listening_host,
    reaching_host,
)
from cafeteria.provisioning.errors import SettingError
from cafeteria.provisioning.targets import (
    read_monitor_url,
    read_nats_url,
    read_postgres_url,
    without_credentials,
)

PASSWORD = "kabab"
READERS = {
    "CAFETERIA_POSTGRES_URL": read_postgres_url,
    "CAFETERIA_NATS_URL": read_nats_url,
    "CAFETERIA_NATS_MONITOR_URL": read_monitor_url,
}


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (POSTGRES, "postgresql://db"),
        (POSTGRES, "postgres://me:p%40ss@db.campus.example:5432/orders"),
        (POSTGRES, "postgresql://me:a@b@10.0.0.7:1/"),
        (POSTGRES, "postgresql://[2001:db8::1]:5432/cafeteria"),
        (NATS, "nats://bus"),
        (NATS, "nats://admin:secret@[::1]:4222/"),
        (MONITOR, "http://bus:8222"),
        (MONITOR, "https://bus:8222/"),
    ],
)
def test_a_single_valid_address_is_accepted_unchanged(kind: AddressKind, url: str) -> None:
    assert checked("VARIABLE", url, kind) == url


POSTGRES_REFUSED = [
    f"postgresql://me:{PASSWORD}@db/cafeteria?sslmode=require",
    f"postgresql://me:{PASSWORD}@db/cafeteria?application_name=x&password={PASSWORD}",
    "postgresql://db/cafeteria?x",
    "postgresql://db/cafeteria#x",
    f"postgresql://me:{PASSWORD}@db:99999/cafeteria",
    "postgresql://db:0/cafeteria",
    "postgresql://db:-1/cafeteria",
    "postgresql://db:five/cafeteria",
    "postgresql://one,two/cafeteria",
    "postgresql://one:1,two:2/cafeteria",
    "postgresql:///cafeteria",
    "postgresql://%2Fvar%2Frun/cafeteria",
    "postgresql://db/one/two",
    f"postgresql://me:{PASSWORD}/2@db/cafeteria",
    "postgresql://[::1/cafeteria",
    "postgresql://::1/cafeteria",
    "postgresql://[fe80::1%25eth0]/cafeteria",
    "postgresql://db /cafeteria",
    "postgresql://db/cafe\nteria",
    "postgresql+asyncpg://db/cafeteria",
    "mysql://db/cafeteria",
    "db:5432",
    "db",
]
NATS_REFUSED = [
    "tls://bus:4222",
    "ws://bus:4222",
    "bus:4222",
    "nats://one:1,nats://two:2",
    "nats://one,two",
    "nats://bus:99999",
    "nats://bus/path",
    "nats://bus?tls=true",
    "nats://",
]
MONITOR_REFUSED = [
    "bus:8222",
    "http://",
    "http://bus:99999",
    "http://bus/jsz",
    f"http://me:{PASSWORD}@bus:8222",
]


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        *(("CAFETERIA_POSTGRES_URL", url) for url in POSTGRES_REFUSED),
        *(("CAFETERIA_NATS_URL", url) for url in NATS_REFUSED),
        *(("CAFETERIA_NATS_MONITOR_URL", url) for url in MONITOR_REFUSED),
    ],
)
def test_an_invalid_address_is_refused_with_its_variables_name(variable: str, url: str) -> None:
    with pytest.raises(SettingError, match=f"^{variable} must be one address") as refused:
        READERS[variable]({variable: url})
    assert PASSWORD not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


def test_an_unsupported_parameter_is_named_in_the_error() -> None:
    with pytest.raises(SettingError, match="`sslmode`"):
        checked("CAFETERIA_POSTGRES_URL", POSTGRES_REFUSED[0], POSTGRES)


def test_a_service_receives_an_ipv6_address_in_brackets() -> None:
    assert without_credentials("postgresql://me:secret@[::1]:5432/c") == "postgresql://[::1]:5432/c"


@pytest.mark.parametrize(
    "text", ["192.0.2.1", "cafeteria.example", "::2", "fe80::1%lo", "127.0.0.1:8000", "*", "1"]
)
def test_a_host_that_is_no_ip_address_of_this_machine_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="CAFETERIA_HOST"):
        listening_host(text)


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        (None, "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - only a test case
        ("127.0.0.2", "127.0.0.2"),
    ],
)
def test_a_client_reaches_services_at_an_address_on_which_they_listen(text: str | None, reached: str) -> None:
    assert reaching_host(listening_host(text)) == reached


def test_a_client_reaches_an_ipv6_host_in_brackets() -> None:
    assert bracketed(reaching_host("::")) == bracketed("::1") == "[::1]"
