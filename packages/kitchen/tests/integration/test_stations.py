"""What one statement moves: tickets that still stand where they stood, onto stations that are really free."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.subjects import KITCHEN
from cafeteria.kitchen.domain import Move, NewTicket, Ticket, cancel, finish, start
from cafeteria.kitchen.repository import tickets
from cafeteria.kitchen.repository.tickets import StationTaken


class Shelf:
    """Tickets without a kitchen around them."""

    def __init__(self, database: Database, books: Any) -> None:
        self._database = database
        self._books = books

    async def queue(self, *orders: Any) -> list[Ticket]:
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
        """The tickets that moved."""
        async with self._database.statement() as connection:
            written = await tickets.write_moves(connection, moves, free_stations=free)
        return [move.ticket.id for move in written]

    async def standing(self, ticket: Ticket) -> tuple[str, int | None]:
        row = await self._books.connection.fetchrow(
            "SELECT status, station FROM kitchen.kitchen_orders WHERE id = $1", ticket.id
        )
        return row["status"], row["station"]

    async def counted(self) -> tuple[int, int]:
        """History rows and messages."""
        history = await self._books.value("SELECT count(*) FROM kitchen.order_status_history")
        return history, await self._books.value("SELECT count(*) FROM kitchen.outbox")


@pytest.fixture
async def shelf(books: Any, kitchen_settings: Any) -> AsyncIterator[Shelf]:
    database = Database.connect(kitchen_settings(), service=KITCHEN)
    yield Shelf(database, books)
    await database.close()


@pytest.fixture
def at() -> datetime:
    return now()


async def test_tickets_take_the_free_stations_and_the_rest_stay_queued(
    shelf: Shelf, gateway: Any, at: datetime
) -> None:
    first, second, third = await shelf.queue(*(gateway.an_order() for _ in range(3)))

    moved = await shelf.write(*(start(each, at=at, prep_s=9) for each in (first, second, third)), free=(4, 9))

    assert moved == [first.id, second.id]
    assert [await shelf.standing(each) for each in (first, second, third)] == [
        ("IN_KITCHEN", 4),
        ("IN_KITCHEN", 9),
        ("QUEUED", None),
    ]
    assert await shelf.counted() == (2, 2)


async def test_a_station_that_the_same_statement_sets_free_is_taken_at_once(
    shelf: Shelf, gateway: Any, at: datetime
) -> None:
    done, waiting = await shelf.queue(gateway.an_order(), gateway.an_order())
    starting = start(done, at=at, prep_s=0)
    await shelf.write(starting, free=(1,))

    moved = await shelf.write(finish(starting.moved, at=at), start(waiting, at=at, prep_s=0))

    assert moved == [done.id, waiting.id]
    assert await shelf.standing(done) == ("READY", None)
    assert await shelf.standing(waiting) == ("IN_KITCHEN", 1)


async def test_a_station_taken_by_a_faster_replica_undoes_the_whole_statement(
    shelf: Shelf, gateway: Any, at: datetime
) -> None:
    fast, done, slow = await shelf.queue(*(gateway.an_order() for _ in range(3)))
    starting = start(done, at=at, prep_s=0)
    await shelf.write(start(fast, at=at, prep_s=9), starting, free=(1, 2))

    with pytest.raises(StationTaken):
        await shelf.write(finish(starting.moved, at=at), start(slow, at=at, prep_s=9), free=(1,))

    assert [await shelf.standing(each) for each in (fast, done, slow)] == [
        ("IN_KITCHEN", 1),
        ("IN_KITCHEN", 2),
        ("QUEUED", None),
    ]
    assert await shelf.counted() == (2, 2)


async def test_a_ticket_that_no_longer_stands_there_leaves_no_trace_and_hinders_nobody(
    shelf: Shelf, gateway: Any, at: datetime
) -> None:
    gone, there = await shelf.queue(gateway.an_order(), gateway.an_order())
    await shelf.write(cancel(gone, at=at))

    moved = await shelf.write(*(start(each, at=at, prep_s=9) for each in (gone, there)), free=(1, 2))

    assert moved == [there.id]
    assert await shelf.standing(gone) == ("CANCELLED", None)
    assert await shelf.counted() == (2, 2)


async def test_a_ticket_that_somebody_holds_is_passed_over(
    shelf: Shelf, gateway: Any, at: datetime, servers: Any
) -> None:
    held, free = await shelf.queue(gateway.an_order(), gateway.an_order())
    async with servers.database_as_admin() as rogue, rogue.transaction():
        await rogue.execute("SELECT 1 FROM kitchen.kitchen_orders WHERE id = $1 FOR UPDATE", held.id)

        moved = await shelf.write(*(start(each, at=at, prep_s=9) for each in (held, free)), free=(1, 2))

    assert moved == [free.id]
    assert await shelf.standing(held) == ("QUEUED", None)
