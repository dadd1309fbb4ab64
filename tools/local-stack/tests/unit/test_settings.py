"""What the environment says, and what is said about an environment that makes no sense."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cafeteria.contracts.subjects import PORT_OFFSETS, SERVICES
from cafeteria.local_stack.credentials import Credentials
from cafeteria.local_stack.errors import StackError
from cafeteria.local_stack.home import Home
from cafeteria.local_stack.plan import Plan, member_name, service_of
from cafeteria.local_stack.targets import (
    Targets,
    nats_admin_url,
    postgres_admin_url,
    without_credentials,
)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials.ensure(tmp_path / "secrets")


def test_services_follow_one_another_from_the_port_that_was_told() -> None:
    ports = Plan.from_environment({"CAFETERIA_PORT_BASE": "9000"}).service_ports()
    assert ports == {service: 9000 + PORT_OFFSETS[service] for service in SERVICES}


def test_replicas_get_ports_of_their_own() -> None:
    ports = Plan(port_base=9000, replicas={"gateway": 3}).service_ports()
    assert len(ports) == len(set(ports.values())) == len(SERVICES) + 2
    assert {"gateway", "gateway-2", "gateway-3"} <= set(ports)


def test_a_replicas_name_tells_its_service() -> None:
    for service in SERVICES:
        assert service_of(member_name(service, 1)) == service_of(member_name(service, 2)) == service
        assert member_name(service, 1) == service


@pytest.mark.parametrize(
    "variable", ["CAFETERIA_PORT_BASE", "CAFETERIA_POSTGRES_PORT", "CAFETERIA_NATS_PORT"]
)
@pytest.mark.parametrize("text", ["eight", "0", "65536", "-1", "80.5"])
def test_a_port_that_is_none_is_named(variable: str, text: str) -> None:
    with pytest.raises(StackError, match=variable):
        Plan.from_environment({variable: text})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CAFETERIA_STREAM_MAX_BYTES", "2GB"),
        ("CAFETERIA_STREAM_MAX_BYTES", "0"),
        ("CAFETERIA_DEMO_DATA", "maybe"),
    ],
)
def test_what_makes_no_sense_is_named(variable: str, text: str) -> None:
    with pytest.raises(StackError, match=variable):
        Plan.from_environment({variable: text})


def test_a_variable_is_also_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://postgres:secret@db/cafeteria\n")
    plan = Plan.from_environment({"CAFETERIA_POSTGRES_URL_FILE": str(tmp_path / "url")})
    assert plan.postgres_url == "postgresql://postgres:secret@db/cafeteria"
    assert "secret" not in repr(plan)
    with pytest.raises(StackError, match="CAFETERIA_POSTGRES_URL_FILE"):
        Plan.from_environment({"CAFETERIA_POSTGRES_URL_FILE": str(tmp_path / "nothing")})


def test_the_home_is_in_the_project_unless_it_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.from_environment({}).root == tmp_path / ".cafeteria"
    assert Home.from_environment({"CAFETERIA_HOME": "/srv/caf"}).root == Path("/srv/caf")


@pytest.mark.parametrize("url_of", [postgres_admin_url, nats_admin_url])
def test_an_administrators_url_is_filled_in_where_it_says_nothing(
    url_of: Callable[[str, Credentials], str], credentials: Credentials
) -> None:
    filled = url_of("x://db:1234", credentials)
    assert ":1234" in filled
    assert "@db" in filled
    assert url_of("x://me:p%40ss@db:1", credentials).count("me:p%40ss@db:1") == 1


def test_a_service_is_handed_no_credentials() -> None:
    assert without_credentials("nats://admin:secret@bus:4222") == "nats://bus:4222"
    assert without_credentials("postgresql://me:secret@db:5432/cafeteria") == "postgresql://db:5432/cafeteria"


def test_the_bootstrap_needs_servers(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="CAFETERIA_POSTGRES_URL is not set"):
        Targets.from_environment({"CAFETERIA_SECRETS_DIR": str(tmp_path)})


def test_targets_do_not_show_passwords(tmp_path: Path) -> None:
    targets = Targets.from_environment(
        {
            "CAFETERIA_SECRETS_DIR": str(tmp_path),
            "CAFETERIA_POSTGRES_URL": "postgresql://db",
            "CAFETERIA_NATS_URL": "nats://bus",
        }
    )
    assert Credentials(tmp_path).postgres_password("admin") in targets.postgres_url
    assert Credentials(tmp_path).postgres_password("admin") not in repr(targets)
    assert Credentials(tmp_path).nats_password("admin") not in repr(targets)
