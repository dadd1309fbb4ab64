"""Ports that were given out are kept for those who got them."""

import socket

import pytest

from cafeteria.local_stack import ports
from cafeteria.local_stack.errors import StackError


def test_no_port_is_given_twice_though_nobody_listens_on_it_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_FREE_RANGE", range(20_000, 20_040))
    monkeypatch.setattr(ports, "_given", set())
    given: list[int] = []
    with pytest.raises(StackError, match="No 4 free ports"):
        take_all(given)
    assert len(given) == len(set(given)) > 0


def take_all(given: list[int]) -> None:
    while True:
        first = ports.free_ports(4)
        given += range(first, first + 4)


def test_a_port_that_may_be_bound_beside_its_server_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, where 127.0.0.1 may be bound although somebody listens on every address."""
    port = ports.free_port()
    with socket.create_server(("0.0.0.0", port)):  # noqa: S104 - the case in question
        monkeypatch.setattr(ports, "_may_be_bound", lambda host, port: True)
        assert not ports.is_free(port)
        with pytest.raises(StackError, match=f"{port} \\(gateway\\) is in use"):
            ports.require_free([("gateway", port)], advice="stop it")
    assert ports.is_free(port)
