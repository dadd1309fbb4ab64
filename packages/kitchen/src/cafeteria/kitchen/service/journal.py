"""A move is written whole: the ticket, its history row and the message to the world, in the caller's transaction."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.outbox import Outbox, outbox_message
from cafeteria.contracts import bus
from cafeteria.kitchen.domain import Move, Ticket, news_of
from cafeteria.kitchen.repository import tickets


class Journal:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def write(self, connection: AsyncConnection, *groups: Sequence[Move]) -> None:
        """Group after group: a later one may need what an earlier one sets free.

        The moved tickets must be locked by this transaction.
        """
        written = [move for group in groups for move in await tickets.write_moves(connection, group)]
        await self.announce(connection, [move.moved for move in written])

    async def announce(self, connection: AsyncConnection, standing: Sequence[Ticket]) -> None:
        """Say where each ticket stands, with its whole path, under a new message id."""
        news = [news_of(ticket) for ticket in standing]
        await self._outbox.add(
            connection,
            [
                outbox_message(bus.KITCHEN_STATUS, each, order_id=each.order_id, version=each.version)
                for each in news
            ],
        )
