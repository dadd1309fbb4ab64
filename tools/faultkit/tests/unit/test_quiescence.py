"""Quiescence is reached once everything is carried, also by a service that got no processor for a while."""

from typing import Any

import pytest

from cafeteria.faultkit import quiescence


class Quiet:
    """Tables in which nothing moves, though the newest orders are for so many looks not where they are to come."""

    def __init__(self, *, looks: int) -> None:
        self.looks = looks

    async def fetch(self, _question: str) -> list[dict[str, int]]:
        return [{"orders": 0, "position": 7}]

    async def fetchval(self, _question: str) -> bool:
        self.looks -= 1
        return self.looks >= 0


async def test_what_does_not_move_is_not_at_rest_while_an_order_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quiescence, "IDLE_POLL_S", 0.001)
    tables: Any = Quiet(looks=3)
    await quiescence.until_idle(tables, within_s=60)
    assert tables.looks == -1
