"""Ports that were given out are kept for those who got them."""

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
    """All that there are; what is held of them is let go afterwards."""
    some = range(first := ports.free_ports(40), first + 40)
    held: list[int] = []
    for _ in some:
        os.close(ports._held.pop())
    monkeypatch.setattr(ports, "_FREE_RANGE", some)
    monkeypatch.setattr(ports, "_held", held)
    yield some
    for mark in held:
        os.close(mark)


def test_no_port_is_given_twice_though_nobody_listens_on_it_yet(few_ports: range) -> None:
    given: list[int] = []
    with pytest.raises(StackError, match="No 4 free ports"):
        take_all(given)
    assert len(given) == len(set(given)) > 0


def take_all(given: list[int]) -> None:
    while True:
        first = ports.free_ports(4)
        given += range(first, first + 4)


def test_a_port_that_another_process_was_given_is_given_to_nobody_else(few_ports: range) -> None:
    """The other process stays until there is no port left."""
    asked = (
        "from cafeteria.local_stack import ports;"
        f"ports._FREE_RANGE = range({few_ports.start}, {few_ports.stop});"
        "print(ports.free_ports(10), flush=True); input()"
    )
    other = subprocess.Popen([sys.executable, "-c", asked], stdin=PIPE, stdout=PIPE, text=True)
    assert other.stdout
    theirs = int(other.stdout.readline())
    given: list[int] = []
    with pytest.raises(StackError, match="No 4 free ports"):
        take_all(given)
    other.communicate("\n")
    assert given
    assert set(given).isdisjoint(range(theirs, theirs + 10))


def test_a_port_that_may_be_bound_beside_its_server_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, where 127.0.0.1 may be bound although somebody listens on every address."""
    port = ports.free_port()
    with socket.create_server(("0.0.0.0", port)):  # noqa: S104 - the case in question
        monkeypatch.setattr(ports, "_may_be_bound", lambda host, port: True)
        assert not ports.is_free(port)
        with pytest.raises(StackError, match=f"{port} \\(gateway\\) is in use"):
            ports.require_free([("gateway", port)], advice="stop it")
    assert ports.is_free(port)
