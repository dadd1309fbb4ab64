"""Reconcile delivery: check each record's messages at their receivers until these are known to have them.

Postgres is the record and NATS transports. What NATS lost is found missing here, and a new message replaces it. A receiver
that does not answer, or that lags, confirms nothing and gets nothing again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging.errors import NoAnswer, PeerRefused
from cafeteria.chassis.messaging.outbox import Outbox, OutboxMessage
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger

BATCH_LIMIT = 1000  # records in one request: about 70 kB of the bus's 1 MB

RESENT = metrics.counter(
    "cafeteria_missing_messages_total",
    "Messages that a receiver lacked and that were published again: any rise is an alarm",
    "receiver",
)

logger = get_logger()


class Unconfirmed(msgspec.Struct, frozen=True, kw_only=True):
    """A record that some receivers are not known to have: `wanted` holds the version for each of them, by name.

    `due_at` is the time of this check. It changes whenever the record changes, so a finding never applies to a later state.
    """

    key: UUID
    due_at: datetime
    wanted: Mapping[str, int]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The receivers' answers about one record: which have it, and which lack it. Others did not answer, or need no check."""

    key: UUID
    due_at: datetime
    confirmed_by: frozenset[str]
    missing_at: frozenset[str]
    is_done: bool


Receiver = Callable[[Sequence[tuple[UUID, int]]], Awaitable[frozenset[UUID] | None]]
"""Asks for the keys whose version a receiver lacks; None if its consumer lags too far to tell."""


def back_off(since: str) -> str:
    """Return the SQL of the pause before the next check: half of the time since `since`, from 1 to 4 seconds."""
    return f"LEAST(GREATEST((now() - {since}) / 2, interval '1 second'), interval '4 seconds')"


class Records(Protocol):
    """The records whose deliveries are checked: a repository module of the service."""

    async def find_due(self, connection: AsyncConnection, limit: int) -> Sequence[Unconfirmed]:
        """Read up to `limit` records whose check is due and that have no message in the outbox."""

    async def store(
        self, connection: AsyncConnection, findings: Sequence[Finding]
    ) -> Mapping[UUID, Sequence[OutboxMessage]]:
        """Store the findings of records that have not changed since they were read.

        Returns, for each of them that a receiver lacks, the messages to publish again.
        """


class Reconciliation:
    """Checks the deliveries of one service at its receivers, which are by name.

    `on_resent` is called after a commit that stored messages.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        receivers: Mapping[str, Receiver],
        records: Records,
        *,
        on_resent: Callable[[], None],
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._receivers = receivers
        self._records = records
        self._on_resent = on_resent
        self._resent = {name: RESENT.labels(name) for name in receivers}

    async def run(self) -> None:
        """Check all due records, a batch at a time; stop when a receiver does not answer."""
        while await self._check_batch():
            pass

    async def _check_batch(self) -> bool:
        """Return whether more records may be due, and all receivers answered."""
        async with self._database.statement() as connection:
            due = await self._records.find_due(connection, BATCH_LIMIT)
        if not due:
            return False
        answers = await asyncio.gather(*(self._ask(name, due) for name in self._receivers))
        missing = dict(zip(self._receivers, answers, strict=True))
        if any(answer is not None for answer in answers):
            await self._apply([finding_of(record, missing) for record in due])
        return None not in answers and len(due) == BATCH_LIMIT

    async def _ask(self, name: str, due: Sequence[Unconfirmed]) -> frozenset[UUID] | None:
        versions = [(record.key, record.wanted[name]) for record in due if name in record.wanted]
        if not versions:
            return frozenset()
        try:
            return await self._receivers[name](versions)
        except (NoAnswer, PeerRefused):
            return None

    async def _apply(self, findings: Sequence[Finding]) -> None:
        """Store the findings and the messages to publish again, in one commit."""
        async with self._database.transaction() as connection:
            resent = await self._records.store(connection, findings)
            await self._outbox.add(
                connection, [message for messages in resent.values() for message in messages]
            )
        if resent:
            self._report([finding for finding in findings if finding.key in resent])
            self._on_resent()

    def _report(self, resent: Sequence[Finding]) -> None:
        counts = {name: sum(name in finding.missing_at for finding in resent) for name in self._receivers}
        for name, count in counts.items():
            self._resent[name].inc(count)
        logger.warning("messages_resent", **counts, keys=[str(finding.key) for finding in resent[:10]])


def finding_of(record: Unconfirmed, missing: Mapping[str, frozenset[UUID] | None]) -> Finding:
    """Return the result for one record of a batch. `missing` is None for a receiver that did not answer."""
    answered = {name: keys for name in record.wanted if (keys := missing[name]) is not None}
    missing_at = frozenset(name for name, keys in answered.items() if record.key in keys)
    confirmed_by = answered.keys() - missing_at
    return Finding(
        key=record.key,
        due_at=record.due_at,
        confirmed_by=frozenset(confirmed_by),
        missing_at=missing_at,
        is_done=confirmed_by == record.wanted.keys(),
    )
