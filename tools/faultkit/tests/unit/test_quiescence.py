"""Quiescence is reached only once all orders are carried, also if a service makes no progress for a while."""

from typing import Any

import pytest

from cafeteria.faultkit import quiescence


class IdleTables:
    """Tables in which nothing changes; the newest orders are complete after `looks` queries."""

    def __init__(self, *, looks: int) -> None:
        self.looks = looks

    async def fetch(self, _query: str) -> list[dict[str, int]]:
        return [{"orders": 0, "position": 7}]

    async def fetchval(self, _query: str) -> bool:
        self.looks -= 1
        return self.looks >= 0


async def test_unchanged_tables_are_not_quiescent_while_an_order_is_incomplete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quiescence, "IDLE_POLL_S", 0.001)
    tables: Any = IdleTables(looks=3)
    await quiescence.until_idle(tables, within_s=60)
    assert tables.looks == -1
