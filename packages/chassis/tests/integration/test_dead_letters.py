"""Dead letters: an item that no code can handle is stored once, however often and in whichever message it arrives."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.messaging.dead_letters import WRITTEN, DeadLetter, DeadLetters
from cafeteria.testkit.servers import FixtureServers

STORED_AT = datetime(2026, 3, 1, 18, 4, tzinfo=UTC)


def letter(body: bytes = b"{", **facts: Any) -> DeadLetter:
    values = {
        "stream": "KITCHEN",
        "sequence": 7,
        "stored_at": STORED_AT,
        "item": 0,
        "subject": "kitchen.work",
    }
    return DeadLetter(**{**values, "message_id": "m", "error": "truncated", **facts}, body=body)


async def stored(servers: FixtureServers) -> list[tuple[Any, ...]]:
    async with servers.database_as_admin() as admin:
        rows = await admin.fetch("SELECT sequence, item, body, error FROM gateway.dead_letters ORDER BY 1, 2")
    return [tuple(row) for row in rows]


def counted() -> float:
    return float(WRITTEN.labels("KITCHEN")._value.get())


async def test_items_of_one_message_are_stored_in_one_commit(
    dead_letters: DeadLetters, servers: FixtureServers
) -> None:
    before = counted()
    await dead_letters.add([letter(b"[]", item=3), letter(b"{", item=5)])
    assert await stored(servers) == [(7, 3, b"[]", "truncated"), (7, 5, b"{", "truncated")]
    assert counted() - before == 2


async def test_a_redelivery_stores_and_counts_nothing_more(
    dead_letters: DeadLetters, servers: FixtureServers
) -> None:
    await dead_letters.add([letter()])
    before = counted()
    await dead_letters.add([letter(), letter(b"new", item=1)])
    assert [item for _, item, _, _ in await stored(servers)] == [0, 1]
    assert counted() - before == 1


async def test_an_item_that_is_published_again_in_another_message_is_stored_once(
    dead_letters: DeadLetters, servers: FixtureServers
) -> None:
    """Delivery reconciliation publishes the item again every few seconds, as its receiver still misses it."""
    await dead_letters.add([letter()])
    await dead_letters.add([letter(sequence=900, item=12), letter(sequence=901, item=1)])
    assert await stored(servers) == [(7, 0, b"{", "truncated")]


async def test_equal_items_of_one_message_are_stored_once(
    dead_letters: DeadLetters, servers: FixtureServers
) -> None:
    await dead_letters.add([letter(item=0), letter(item=1)])
    assert len(await stored(servers)) == 1


async def test_text_that_postgres_cannot_store_is_stored_with_replacements(
    dead_letters: DeadLetters, servers: FixtureServers
) -> None:
    await dead_letters.add([letter(b"\x00\xff", error="a\0b\ud800")])
    assert await stored(servers) == [(7, 0, b"\x00\xff", "a\ufffdb?")]


async def test_without_the_database_storing_a_dead_letter_raises(
    dead_letters: DeadLetters, servers: FixtureServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.postgres.kill()
    await servers.postgres.ended()
    try:
        with pytest.raises(DatabaseUnavailable):
            await dead_letters.add([letter()])
    finally:
        await servers.postgres.start()
