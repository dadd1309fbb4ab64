"""A plan follows the environment, and an invalid variable is an error that names it."""

from pathlib import Path

import pytest

from cafeteria.contracts.subjects import PORT_OFFSETS, SERVICES
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.plan import Plan, member_name, own_origins, service_of
from cafeteria.provisioning.errors import SettingError, StackError


def test_services_have_consecutive_ports_from_the_given_base() -> None:
    ports = Plan.from_environment({"CAFETERIA_PORT_BASE": "9000"}).service_ports()
    assert ports == {service: 9000 + PORT_OFFSETS[service] for service in SERVICES}


def test_every_replica_has_its_own_port() -> None:
    ports = Plan(port_base=9000, replicas={"gateway": 3}).service_ports()
    assert len(ports) == len(set(ports.values())) == len(SERVICES) + 2
    assert {"gateway", "gateway-2", "gateway-3"} <= set(ports)


def test_a_replicas_name_contains_its_service() -> None:
    for service in SERVICES:
        assert service_of(member_name(service, 1)) == service_of(member_name(service, 2)) == service
        assert member_name(service, 1) == service


def test_a_stack_on_a_loopback_address_knows_its_own_origins() -> None:
    assert own_origins("127.0.0.1", [8001, 8000]).split(",") == [
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://127.0.0.1:8001",
        "http://localhost:8001",
    ]
    assert own_origins("::1", [8000]) == "http://[::1]:8000,http://localhost:8000"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - what operators write
def test_a_stack_that_others_reach_does_not_know_the_names_that_they_use(host: str) -> None:
    assert own_origins(host, [8000]) == ""


@pytest.mark.parametrize(
    "variable",
    ["CAFETERIA_PORT_BASE", "CAFETERIA_POSTGRES_PORT", "CAFETERIA_NATS_PORT", "CAFETERIA_EDGE_PORT"],
)
@pytest.mark.parametrize("text", ["eight", "0", "65536", "-1", "80.5"])
def test_an_invalid_port_is_an_error_that_names_its_variable(variable: str, text: str) -> None:
    with pytest.raises(StackError, match=variable):
        Plan.from_environment({variable: text})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CAFETERIA_STREAM_MAX_BYTES", "2GB"),
        ("CAFETERIA_STREAM_MAX_BYTES", "0"),
        ("CAFETERIA_DEMO_DATA", "maybe"),
        ("CAFETERIA_DEMO_CONTROLS", "maybe"),
        ("CAFETERIA_EDGE", "no"),
        ("CAFETERIA_HOST", "192.0.2.1"),
        ("CAFETERIA_POSTGRES_URL", "postgresql://one,two/cafeteria"),
        ("CAFETERIA_NATS_URL", "tls://bus:4222"),
        ("CAFETERIA_NATS_MONITOR_URL", "bus:8222"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_its_variable(variable: str, text: str) -> None:
    with pytest.raises(StackError, match=variable):
        Plan.from_environment({variable: text})


def test_a_stack_on_one_machine_has_demo_data_unless_told_otherwise() -> None:
    assert Plan.from_environment({}).with_demo_data
    assert not Plan.from_environment({"CAFETERIA_DEMO_DATA": "false"}).with_demo_data


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, True),
        ({"CAFETERIA_HOST": "127.0.0.2"}, True),
        ({"CAFETERIA_HOST": "::1"}, True),
        ({"CAFETERIA_DEMO_CONTROLS": "False"}, False),
        ({"CAFETERIA_HOST": "::"}, False),
        ({"CAFETERIA_HOST": "::", "CAFETERIA_DEMO_CONTROLS": "true"}, False),
    ],
)
def test_a_stack_that_others_reach_has_no_demo_controls(*, variables: dict[str, str], expected: bool) -> None:
    assert Plan.from_environment(variables).has_demo_controls is expected
    assert not Plan().has_demo_controls  # tests start many stacks


def test_a_variable_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://postgres:secret@db/cafeteria\n")
    plan = Plan.from_environment({"CAFETERIA_POSTGRES_URL_FILE": str(tmp_path / "url")})
    assert plan.postgres_url == "postgresql://postgres:secret@db/cafeteria"
    assert "secret" not in repr(plan)
    with pytest.raises(StackError, match="CAFETERIA_POSTGRES_URL_FILE"):
        Plan.from_environment({"CAFETERIA_POSTGRES_URL_FILE": str(tmp_path / "nothing")})


def test_the_data_directory_is_in_the_project_unless_a_variable_moves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert DataDirectory.from_environment({}).root == tmp_path / ".cafeteria"
    assert DataDirectory.from_environment({"CAFETERIA_HOME": "/srv/caf"}).root == Path("/srv/caf")


@pytest.mark.parametrize(
    "variables",
    [
        {"CAFETERIA_POSTGRES_PORT": "8003"},
        {"CAFETERIA_NATS_PORT": "9001", "CAFETERIA_PORT_BASE": "9000"},
        {"CAFETERIA_NATS_PORT": "7000", "CAFETERIA_POSTGRES_PORT": "7000"},
        {"CAFETERIA_EDGE_PORT": "8001"},
        {"CAFETERIA_EDGE_PORT": "7000", "CAFETERIA_NATS_PORT": "7000"},
    ],
)
def test_one_port_for_two_servers_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="both ask for port"):
        Plan.from_environment(variables)
