"""One statement moves only tickets whose state has not changed, and only to stations that are free."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.kitchen import CookOrder
from cafeteria.contracts.subjects import KITCHEN
from cafeteria.kitchen.domain import Move, NewTicket, Ticket, cancel, finish, start
from cafeteria.kitchen.repository import tickets
from cafeteria.kitchen.repository.tickets import StationTaken
from cafeteria.kitchen.settings import KitchenSettings
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Gateway, KitchenDatabase


class TicketStore:
    """Writes tickets through the repository and reads the stored rows, without a running kitchen."""

    def __init__(self, database: Database, stored: KitchenDatabase) -> None:
        self._database = database
        self._stored = stored

    async def queue(self, *orders: CookOrder) -> list[Ticket]:
        new = [
            NewTicket(
                order_id=order.order_id,
                student_id=order.student_id,
                lines=order.lines,
                path=order.earlier,
                traceparent=order.traceparent,
            )
            for order in orders
        ]
        async with self._database.transaction() as connection:
            await tickets.insert_tickets(connection, new, received_at=now())
            return await tickets.lock_by_order(connection, [order.order_id for order in orders])

    async def write(self, *moves: Move, free: tuple[int, ...] = ()) -> list[UUID]:
        """Return the ids of the tickets that moved."""
        async with self._database.statement() as connection:
            written = await tickets.write_moves(connection, moves, free_stations=free)
        return [move.ticket.id for move in written]

    async def state_of(self, ticket: Ticket) -> tuple[str, int | None]:
        query = "SELECT status, station FROM kitchen.kitchen_orders WHERE id = $1"
        row = await self._stored.connection.fetchrow(query, ticket.id)
        assert row is not None
        return row["status"], row["station"]

    async def row_counts(self) -> tuple[int, int]:
        """Return how many history rows and outbox rows there are."""
        history = await self._stored.value("SELECT count(*) FROM kitchen.order_status_history")
        return history, await self._stored.value("SELECT count(*) FROM kitchen.outbox")


@pytest.fixture
async def store(
    database: KitchenDatabase, kitchen_settings: Callable[..., KitchenSettings]
) -> AsyncIterator[TicketStore]:
    connections = Database.connect(kitchen_settings(), service=KITCHEN)
    yield TicketStore(connections, database)
    await connections.close()


@pytest.fixture
def at() -> datetime:
    return now()


async def test_tickets_take_the_free_stations_and_the_rest_stay_queued(
    store: TicketStore, gateway: Gateway, at: datetime
) -> None:
    first, second, third = await store.queue(*(gateway.an_order() for _ in range(3)))

    moved = await store.write(*(start(each, at=at, prep_s=9) for each in (first, second, third)), free=(4, 9))

    assert moved == [first.id, second.id]
    assert [await store.state_of(each) for each in (first, second, third)] == [
        ("IN_KITCHEN", 4),
        ("IN_KITCHEN", 9),
        ("QUEUED", None),
    ]
    assert await store.row_counts() == (2, 2)


async def test_a_station_freed_by_a_statement_is_assigned_in_the_same_statement(
    store: TicketStore, gateway: Gateway, at: datetime
) -> None:
    done, waiting = await store.queue(gateway.an_order(), gateway.an_order())
    starting = start(done, at=at, prep_s=0)
    await store.write(starting, free=(1,))

    moved = await store.write(finish(starting.moved, at=at), start(waiting, at=at, prep_s=0))

    assert moved == [done.id, waiting.id]
    assert await store.state_of(done) == ("READY", None)
    assert await store.state_of(waiting) == ("IN_KITCHEN", 1)


async def test_a_station_that_another_replica_took_first_rolls_back_the_whole_statement(
    store: TicketStore, gateway: Gateway, at: datetime
) -> None:
    fast, done, slow = await store.queue(*(gateway.an_order() for _ in range(3)))
    starting = start(done, at=at, prep_s=0)
    await store.write(start(fast, at=at, prep_s=9), starting, free=(1, 2))

    with pytest.raises(StationTaken):
        await store.write(finish(starting.moved, at=at), start(slow, at=at, prep_s=9), free=(1,))

    assert [await store.state_of(each) for each in (fast, done, slow)] == [
        ("IN_KITCHEN", 1),
        ("IN_KITCHEN", 2),
        ("QUEUED", None),
    ]
    assert await store.row_counts() == (2, 2)


async def test_a_ticket_whose_state_has_changed_is_skipped_and_blocks_no_other(
    store: TicketStore, gateway: Gateway, at: datetime
) -> None:
    cancelled, queued = await store.queue(gateway.an_order(), gateway.an_order())
    await store.write(cancel(cancelled, at=at))

    moved = await store.write(*(start(each, at=at, prep_s=9) for each in (cancelled, queued)), free=(1, 2))

    assert moved == [queued.id]
    assert await store.state_of(cancelled) == ("CANCELLED", None)
    assert await store.row_counts() == (2, 2)


async def test_a_ticket_locked_by_another_transaction_is_skipped(
    store: TicketStore, gateway: Gateway, at: datetime, servers: FixtureServers
) -> None:
    locked, unlocked = await store.queue(gateway.an_order(), gateway.an_order())
    async with servers.database_as_admin() as locker, locker.transaction():
        await locker.execute("SELECT 1 FROM kitchen.kitchen_orders WHERE id = $1 FOR UPDATE", locked.id)

        moved = await store.write(*(start(each, at=at, prep_s=9) for each in (locked, unlocked)), free=(1, 2))

    assert moved == [unlocked.id]
    assert await store.state_of(locked) == ("QUEUED", None)
