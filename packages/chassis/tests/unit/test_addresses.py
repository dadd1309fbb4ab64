"""Addresses in settings: a valid one is accepted, any other is refused with a sentence that names the variable."""

import pytest

from cafeteria.chassis.runtime.addresses import client_network
from cafeteria.chassis.runtime.settings import ServiceSettings, SettingsError, load_settings
from cafeteria.contracts.subjects import PORT_OFFSETS

ACCEPTED = {
    "CAFETERIA_HOST": [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - what operators write
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "localhost",
        "gateway_1",
        "canteen.example.",
    ],
    "CAFETERIA_POSTGRES_URL": [
        "postgresql://127.0.0.1:5432/cafeteria",
        "postgresql://postgres/cafeteria",
        "postgresql://[::1]/cafeteria",
        "postgresql://[2001:db8::1]:65535/cafe-teria",
    ],
    "CAFETERIA_NATS_URL": ["nats://127.0.0.1:4222", "nats://nats", "nats://nats/", "nats://[::1]:4222"],
}
WRONG_HOSTS = [
    " ",
    "127.0.0.1 ",
    " ::1",
    "127.0.0.1,::1",
    "127.0.0.1 ::1",
    "127.0.0.1:8000",
    "[::1]",
    "::1::",
    "127.0.0",
    "127.0.0.256",
    "8000",
    "-h",
    "a..b",
    "é",
    "x" * 64,
    "http://127.0.0.1",
    "*",
]
WRONG_SERVERS = [
    "",
    ":5432",
    "h1,h2",
    "h1:1,h2:1",
    "h:",
    "h:0",
    "h:99999",
    "h:65536",
    "h:-1",
    "h:many",
    "h:\u0661",
    "h:1:2",
    "::1",
    "[::1",
    "[]",
    "[h]:1",
    "h h",
    " h",
    "1.2.3",
    "user@h",
    "user:hidden@h",
    "h#x",
]
WRONG = [
    *(("CAFETERIA_HOST", host) for host in WRONG_HOSTS),
    *(("CAFETERIA_POSTGRES_URL", f"postgresql://{server}/cafeteria") for server in WRONG_SERVERS),
    *(("CAFETERIA_NATS_URL", f"nats://{server}") for server in WRONG_SERVERS),
    ("CAFETERIA_POSTGRES_URL", "postgresql://h/cafeteria?sslmode=require"),
    ("CAFETERIA_POSTGRES_URL", "postgresql://h/cafeteria?target_session_attrs=any&host=other"),
    ("CAFETERIA_POSTGRES_URL", "postgresql://h/cafeteria?"),
    ("CAFETERIA_POSTGRES_URL", "postgresql://h"),
    ("CAFETERIA_POSTGRES_URL", "postgresql://h/"),
    ("CAFETERIA_POSTGRES_URL", "postgresql://h/a/b"),
    ("CAFETERIA_POSTGRES_URL", "postgresql://h/a%2Fb"),
    ("CAFETERIA_POSTGRES_URL", "postgresql://h/cafeteria "),
    ("CAFETERIA_POSTGRES_URL", "postgresql:///cafeteria?host=/run/postgresql"),
    ("CAFETERIA_POSTGRES_URL", "postgres://h/cafeteria"),
    ("CAFETERIA_POSTGRES_URL", "h:5432"),
    ("CAFETERIA_NATS_URL", "tls://127.0.0.1:4222"),
    ("CAFETERIA_NATS_URL", "nats://h1:4222,nats://h2:4222"),
    ("CAFETERIA_NATS_URL", "nats://h?name=x"),
    ("CAFETERIA_NATS_URL", "nats://h/x"),
    ("CAFETERIA_PORT_BASE", "65501"),
    ("CAFETERIA_PORT_BASE", "0"),
    ("CAFETERIA_PORT", "65536"),
    ("CAFETERIA_PORT", "-1"),
    ("CAFETERIA_PORT", "80 80"),
]


@pytest.mark.parametrize(
    ("variable", "value"), [(name, value) for name, values in ACCEPTED.items() for value in values]
)
def test_an_address_of_one_host_is_accepted(environ: dict[str, str], variable: str, value: str) -> None:
    settings = load_settings(ServiceSettings, {**environ, variable: value})
    assert value in {settings.host, settings.postgres_url, settings.nats_url}


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_any_other_address_is_refused_with_the_name_of_its_variable(
    environ: dict[str, str], variable: str, value: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(ServiceSettings, {**environ, variable: value})
    (sentence,) = caught.value.sentences
    assert sentence.startswith(f"{variable} must be ")
    assert sentence.endswith(".")
    assert "hidden" not in sentence


def test_an_empty_host_is_the_default(environ: dict[str, str]) -> None:
    assert load_settings(ServiceSettings, {**environ, "CAFETERIA_HOST": ""}).host == "127.0.0.1"


def test_the_highest_base_leaves_every_service_a_port(environ: dict[str, str]) -> None:
    settings = load_settings(ServiceSettings, {**environ, "CAFETERIA_PORT_BASE": "65500"})
    assert max(settings.listen_port(service) for service in PORT_OFFSETS) <= 65_535


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("/run/cafeteria.sock", "/run/cafeteria.sock"),
    ],
)
def test_a_client_is_an_ipv4_address_or_the_64_bits_of_an_ipv6_network(host: str, network: str) -> None:
    assert client_network(host) == network
