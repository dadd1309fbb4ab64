"""Do what an operator's request asks for once per Idempotency-Key: the change and its answer are one commit."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.stock.domain import Answer, Operation, StoredItem, item_on_the_wire
from cafeteria.stock.repository import operations

MAX_KEY_TRIES = 3
"""The next try finds the answer of the request that took the key, unless it is purged in between."""

Change = Callable[[AsyncConnection], Awaitable[StoredItem]]


class Operations:
    """Runs operations. `on_changed` is called with the changed items after their commit."""

    def __init__(self, database: Database, *, on_changed: Callable[[Sequence[StoredItem]], None]) -> None:
        self._database = database
        self._on_changed = on_changed

    async def run_once(self, change: Change, operation: Operation | None, *, status: int) -> Answer:
        """Return the answer, the stored one for a repeat; without an operation every call runs.

        A change that raises leaves its key unused. Raises IdempotencyKeyReused, and Unavailable when other requests
        hold the key all the time.
        """
        for _ in range(MAX_KEY_TRIES):
            if operation and (stored := await self._find_answer(operation)):
                return stored
            try:
                item, answer = await self._commit(change, operation, status=status)
            except operations.KeyTaken:
                continue
            self._on_changed([item])
            return answer
        raise Unavailable("Other requests with this Idempotency-Key are being answered; nothing was changed.")

    async def _commit(
        self, change: Change, operation: Operation | None, *, status: int
    ) -> tuple[StoredItem, Answer]:
        async with self._database.transaction() as connection:
            item = await change(connection)
            answer = Answer(status=status, body=msgspec.json.encode(item_on_the_wire(item)))
            if operation:
                await operations.store_answer(connection, operation, answer, now=now())
        return item, answer

    async def _find_answer(self, operation: Operation) -> Answer | None:
        async with self._database.statement() as connection:
            return await operations.find_answer(connection, operation)
