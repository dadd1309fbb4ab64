"""A port belongs to the process that reserved it until that process ends."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from subprocess import PIPE

import pytest

from cafeteria.local_stack import ports
from cafeteria.provisioning.errors import StackError


@pytest.fixture
def few_ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[range]:
    """Limit the module to 40 ports, and release the test's reservations at the end."""
    port_range = range(first := ports.free_ports(40), first + 40)
    reservations: list[int] = []
    for _ in port_range:
        os.close(ports._reservations.pop())
    monkeypatch.setattr(ports, "_FREE_RANGE", port_range)
    monkeypatch.setattr(ports, "_reservations", reservations)
    yield port_range
    for reservation in reservations:
        os.close(reservation)


def test_no_port_is_returned_twice_before_a_server_listens_on_it(few_ports: range) -> None:
    reserved: list[int] = []
    with pytest.raises(StackError, match="No 4 consecutive free ports"):
        reserve_all(reserved)
    assert len(reserved) == len(set(reserved)) > 0


def reserve_all(reserved: list[int]) -> None:
    while True:
        first = ports.free_ports(4)
        reserved += range(first, first + 4)


def test_a_port_that_another_process_reserved_is_not_returned(few_ports: range) -> None:
    """The other process runs until no port is left."""
    code = (
        "from cafeteria.local_stack import ports;"
        f"ports._FREE_RANGE = range({few_ports.start}, {few_ports.stop});"
        "print(ports.free_ports(10), flush=True); input()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, text=True)
    assert other.stdout
    first_of_other = int(other.stdout.readline())
    reserved: list[int] = []
    with pytest.raises(StackError, match="No 4 consecutive free ports"):
        reserve_all(reserved)
    other.communicate("\n")
    assert reserved
    assert set(reserved).isdisjoint(range(first_of_other, first_of_other + 10))


def test_a_port_with_a_server_is_not_free_even_if_it_can_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS 127.0.0.1 can be bound while a server listens on all addresses."""
    port = ports.free_port()
    with socket.create_server(("0.0.0.0", port)):  # noqa: S104 - the tested case
        monkeypatch.setattr(ports, "_can_be_bound", lambda host, port: True)
        assert not ports.is_free(port)
        with pytest.raises(StackError, match=f"{port} \\(gateway\\) is in use"):
            ports.require_free([("gateway", port)], advice="stop it")
    assert ports.is_free(port)


def test_the_first_free_port_of_a_list_is_reserved(few_ports: range) -> None:
    """Skipped are one with a server and one that another process reserved."""
    with socket.create_server((ports.HOST, few_ports[0])), socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind((ports.HOST, few_ports[1]))
        assert ports.first_free(few_ports, advice="-") == few_ports[2]
        assert ports.first_free(few_ports, advice="-") == few_ports[3]


def test_where_no_port_of_a_list_is_free_the_error_names_them(few_ports: range) -> None:
    first = few_ports[0]
    with (
        socket.create_server((ports.HOST, first)),
        pytest.raises(StackError, match=f"{first} to {first}: move it"),
    ):
        ports.first_free([first], advice="move it")
