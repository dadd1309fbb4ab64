"""The edge's port, the addresses of its pages, and what it is told of the services."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from cafeteria.contracts.subjects import PORT_OFFSETS, SERVICES
from cafeteria.local_stack import ports
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.edge import Edge, page_addresses, upstreams
from cafeteria.local_stack.plan import Plan, own_origins
from cafeteria.provisioning.errors import StackError


def environment(*, host: str = "127.0.0.1", demo: str = "", gateways: int = 1) -> dict[str, str]:
    plan = Plan(port_base=9000, replicas={"gateway": gateways})
    home = DataDirectory(root=Path("/data"))
    edge = Edge(home=home, host=host, port=9080, upstreams=upstreams(plan.service_ports()), demo=demo)
    return edge.environment()


@pytest.fixture
def all_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every port is free, so the first candidate is taken."""

    def first(candidates: Iterable[int], **_: object) -> int:
        return next(iter(candidates))

    monkeypatch.setattr(ports, "first_free", first)


def test_up_has_an_edge_unless_told_otherwise_and_a_stack_in_code_has_none() -> None:
    assert Plan.from_environment({}).with_edge
    assert not Plan.from_environment({"CAFETERIA_EDGE": "false"}).with_edge
    assert not Plan().with_edge


def test_its_port_follows_those_of_the_services(all_free: None) -> None:
    assert Plan.from_environment({}).choose_edge_port([]) == 8080
    assert Plan.from_environment({"CAFETERIA_PORT_BASE": "9000"}).choose_edge_port([]) == 9080


def test_its_port_is_no_other_servers(all_free: None) -> None:
    plan = Plan.from_environment({"CAFETERIA_NATS_PORT": "8080", "CAFETERIA_POSTGRES_PORT": "8082"})
    assert plan.choose_edge_port([8081]) == 8083


def test_a_port_that_is_set_is_the_only_one() -> None:
    assert Plan.from_environment({"CAFETERIA_EDGE_PORT": "7080"}).choose_edge_port([]) == 7080


def test_where_no_port_is_left_the_error_says_what_to_set() -> None:
    plan = Plan.from_environment({"CAFETERIA_PORT_BASE": "65500"})
    with pytest.raises(StackError, match="set CAFETERIA_EDGE_PORT"):
        plan.choose_edge_port([])


def test_it_knows_where_each_service_is() -> None:
    found = environment()
    assert {name: found[name.upper()] for name in SERVICES} == {
        name: f"127.0.0.1:{9000 + PORT_OFFSETS[name]}" for name in SERVICES
    }
    assert found["SITE"] == "http://:9080"
    assert found["BIND"] == "127.0.0.1"


def test_it_writes_into_the_data_directory_alone() -> None:
    found = environment()
    assert found["XDG_DATA_HOME"].startswith("/data/edge/")
    assert found["XDG_CONFIG_HOME"].startswith("/data/edge/")
    assert "HOME" not in found


def test_with_replicas_it_looks_for_another_and_with_one_process_it_does_not_wait() -> None:
    several = environment(gateways=3)
    assert len(several["GATEWAY"].split()) == 3
    assert len(several["STOCK"].split()) == 1
    assert (several["TRY_FOR"], several["SHUT_OUT"]) == ("300ms", "1s")
    assert not {"TRY_FOR", "SHUT_OUT"} & environment().keys()


def test_without_a_demonstration_it_knows_none() -> None:
    assert "DEMO" not in environment()
    assert environment(demo="127.0.0.1:1234")["DEMO"] == "127.0.0.1:1234"


@pytest.mark.parametrize(
    ("host", "upstream"),
    [("::1", "[::1]:9000"), ("0.0.0.0", "127.0.0.1:9000"), ("::", "[::1]:9000")],  # noqa: S104 - what operators write
)
def test_it_reaches_services_where_they_listen(host: str, upstream: str) -> None:
    assert environment(host=host)["GATEWAY"] == upstream


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])  # noqa: S104 - what operators write
def test_on_this_machine_each_role_has_a_host_of_its_own(host: str) -> None:
    assert page_addresses(host, 8080) == {
        "Students": "http://localhost:8080",
        "Kitchen": "http://kitchen.localhost:8080",
        "Operator": "http://ops.localhost:8080",
        "Board": "http://localhost:8080/board",
    }


@pytest.mark.parametrize(("host", "shown"), [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]")])
def test_elsewhere_each_role_has_a_path(host: str, shown: str) -> None:
    assert page_addresses(host, 8080) == {
        "Students": f"http://{shown}:8080",
        "Kitchen": f"http://{shown}:8080/kitchen",
        "Operator": f"http://{shown}:8080/ops",
        "Board": f"http://{shown}:8080/board",
    }


def test_the_pages_of_all_hosts_of_the_edge_are_the_stacks_own() -> None:
    origins = own_origins("127.0.0.1", [8000], edge_port=8080).split(",")
    assert {
        f"http://{name}:8080" for name in ("127.0.0.1", "localhost", "kitchen.localhost", "ops.localhost")
    } < {*origins}
    assert "http://kitchen.localhost:8000" not in origins
