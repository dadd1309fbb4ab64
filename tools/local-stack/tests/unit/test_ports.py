"""Ports that were given out are kept for those who got them."""

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
