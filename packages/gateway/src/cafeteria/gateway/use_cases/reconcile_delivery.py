"""Reconcile delivery: checks an order until kitchen and notification are known to have received its messages.

Postgres is the record; NATS transports. If NATS loses messages, this step finds them missing and sends them again,
under new message ids, until the receiver confirms them. After the kitchen's first event the kitchen checks instead.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging import NoAnswer, PeerRefused
from cafeteria.chassis.messaging.outbox import Outbox, OutboxMessage, outbox_message
from cafeteria.chassis.observability import logs, metrics
from cafeteria.contracts.subjects import GATEWAY_STATUS, WORK_PLACED
from cafeteria.contracts.values import OrderStatus, OrderVersion
from cafeteria.gateway.domain import OWN_VERSION_LIMIT, StoredOrder, cook_order, own_status_event
from cafeteria.gateway.peers import Receiver
from cafeteria.gateway.repository import mending
from cafeteria.gateway.repository.mending import Finding, Unconfirmed
from cafeteria.gateway.service.decide import Wakes

BATCH_LIMIT = 500  # orders in one request: about 40 KB
MISSING = metrics.counter(
    "cafeteria_missing_messages_total",
    "Messages that a receiver lacked and was sent again",
    "receiver",
)

logger = logs.get_logger()

Missing = frozenset[UUID] | None
"""The orders whose messages a receiver has not got; None if it did not answer or its consumer lags too far."""


class Confirmation:
    def __init__(
        self, *, database: Database, outbox: Outbox, kitchen: Receiver, notification: Receiver, relay: Wakes
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._kitchen = kitchen
        self._notification = notification
        self._relay = relay
        self._missing = {peer.name: MISSING.labels(peer.name) for peer in (kitchen, notification)}

    async def confirm(self) -> None:
        """Check all due orders, a batch at a time; stop when a receiver does not answer."""
        while await self._confirm_batch() == BATCH_LIMIT:
            pass

    async def _confirm_batch(self) -> int:
        """Check one batch; return its size, or 0 if a receiver did not answer."""
        async with self._database.statement() as connection:
            due = await mending.find_unconfirmed(connection, limit=BATCH_LIMIT)
        if not due:
            return 0
        missing_at_kitchen, missing_at_notification = await asyncio.gather(
            self._ask(self._kitchen, [_version(order) for order in due if must_reach_kitchen(order)]),
            self._ask(self._notification, [_version(order) for order in due if must_be_notified(order)]),
        )
        findings = [finding_of(order, missing_at_kitchen, missing_at_notification) for order in due]
        await self._store(findings, missing_at_kitchen or _NOTHING, missing_at_notification or _NOTHING)
        return 0 if missing_at_kitchen is None or missing_at_notification is None else len(due)

    async def _ask(self, peer: Receiver, versions: Sequence[OrderVersion]) -> Missing:
        if not versions:
            return _NOTHING
        try:
            return await peer.missing(versions)
        except (NoAnswer, PeerRefused):
            return None

    async def _store(
        self,
        findings: Sequence[Finding],
        missing_at_kitchen: frozenset[UUID],
        missing_at_notification: frozenset[UUID],
    ) -> None:
        """Store the findings and the messages to send again, in one commit."""
        async with self._database.transaction() as connection:
            confirmed = await mending.confirm(connection, findings)
            missing = confirmed & (missing_at_kitchen | missing_at_notification)
            found = await mending.find_orders(connection, list(missing)) if missing else {}
            cook_commands = [
                _cook_command(order)
                for order in found.values()
                if order.id in missing_at_kitchen and order.status is OrderStatus.STOCK_VERIFIED
            ]
            status_events = [
                _status_event(order) for order in found.values() if order.id in missing_at_notification
            ]
            await self._outbox.add(connection, [*status_events, *cook_commands])
        if missing:
            self._wake_and_count(cook_commands=len(cook_commands), status_events=len(status_events))

    def _wake_and_count(self, *, cook_commands: int, status_events: int) -> None:
        self._relay.wake()
        self._missing[self._kitchen.name].inc(cook_commands)
        self._missing[self._notification.name].inc(status_events)
        logger.warning("messages_sent_again", kitchen=cook_commands, notification=status_events)


_NOTHING: frozenset[UUID] = frozenset()


def must_reach_kitchen(order: Unconfirmed) -> bool:
    return order.status is OrderStatus.STOCK_VERIFIED and not order.is_known_to_kitchen


def must_be_notified(order: Unconfirmed) -> bool:
    return order.notified_version < _version(order).version


def finding_of(order: Unconfirmed, missing_at_kitchen: Missing, missing_at_notification: Missing) -> Finding:
    """The result for one order of a batch. A receiver that does not answer confirms nothing."""
    has_kitchen = not must_reach_kitchen(order) or _has(order.id, missing_at_kitchen)
    is_notified = not must_be_notified(order) or _has(order.id, missing_at_notification)
    return Finding(
        order_id=order.id,
        kitchen_knows=must_reach_kitchen(order) and has_kitchen,
        notified_version=_version(order).version if is_notified else order.notified_version,
        is_done=has_kitchen and is_notified,
        due_at=order.due_at,
    )


def _has(order_id: UUID, missing: Missing) -> bool:
    return missing is not None and order_id not in missing


def _version(order: Unconfirmed) -> OrderVersion:
    """The last version that the gateway itself publishes: the kitchen checks the later ones."""
    return OrderVersion(
        order_id=order.id, version=1 if order.status is OrderStatus.PENDING else OWN_VERSION_LIMIT
    )


def _status_event(order: StoredOrder) -> OutboxMessage:
    event = own_status_event(order)
    return outbox_message(GATEWAY_STATUS, event, order_id=order.id, version=event.version)


def _cook_command(order: StoredOrder) -> OutboxMessage:
    return outbox_message(WORK_PLACED, cook_order(order), order_id=order.id, version=order.version)
