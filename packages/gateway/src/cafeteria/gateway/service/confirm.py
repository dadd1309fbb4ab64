"""Loop 3, end to end: an order is left alone only when its receivers are known to have it.

Postgres is the record, NATS carries: what a lost store took with it is found missing here and sent again,
under a new message id, until the receiver says that it has it. Once the kitchen has spoken, it asks in our place.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from cafeteria.chassis import logs, metrics
from cafeteria.chassis.bus import NoAnswer, PeerRefused
from cafeteria.chassis.database import Database
from cafeteria.chassis.outbox import Outbox, OutboxMessage, outbox_message
from cafeteria.contracts.bus import GATEWAY_STATUS, WORK_PLACED
from cafeteria.contracts.values import OrderStatus, OrderVersion
from cafeteria.gateway.domain import OWN_VERSION_LIMIT, StoredOrder, cook_order, own_status_event
from cafeteria.gateway.peers import Receiver
from cafeteria.gateway.repository import mending
from cafeteria.gateway.repository.mending import Finding, Unconfirmed
from cafeteria.gateway.service.decide import Wakes

BATCH_LIMIT = 500  # orders in one question: about 40 KB
MISSING = metrics.counter(
    "cafeteria_missing_messages_total",
    "Messages that a receiver lacked and was sent again",
    "receiver",
)

logger = logs.get_logger()

Missing = frozenset[UUID] | None
"""What a receiver lacks; None when it did not answer or is too far behind to say."""


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
        """Batch after batch of what is due, until it is all done or somebody does not answer."""
        while await self._confirm_batch() == BATCH_LIMIT:
            pass

    async def _confirm_batch(self) -> int:
        """How many orders everyone concerned could be asked about."""
        async with self._database.statement() as connection:
            due = await mending.find_unconfirmed(connection, limit=BATCH_LIMIT)
        if not due:
            return 0
        kitchen_lacks, notification_lacks = await asyncio.gather(
            self._ask(self._kitchen, [_version(order) for order in due if must_reach_kitchen(order)]),
            self._ask(self._notification, [_version(order) for order in due if must_be_notified(order)]),
        )
        findings = [finding_of(order, kitchen_lacks, notification_lacks) for order in due]
        await self._write_down(findings, kitchen_lacks or _NOTHING, notification_lacks or _NOTHING)
        return 0 if kitchen_lacks is None or notification_lacks is None else len(due)

    async def _ask(self, peer: Receiver, versions: Sequence[OrderVersion]) -> Missing:
        if not versions:
            return _NOTHING
        try:
            return await peer.missing(versions)
        except (NoAnswer, PeerRefused):
            return None

    async def _write_down(
        self,
        findings: Sequence[Finding],
        kitchen_lacks: frozenset[UUID],
        notification_lacks: frozenset[UUID],
    ) -> None:
        """One commit of what was found and of the messages that mend it."""
        async with self._database.transaction() as connection:
            confirmed = await mending.confirm(connection, findings)
            lacking = confirmed & (kitchen_lacks | notification_lacks)
            found = await mending.find_orders(connection, list(lacking)) if lacking else {}
            work = [
                _work(order)
                for order in found.values()
                if order.id in kitchen_lacks and order.status is OrderStatus.STOCK_VERIFIED
            ]
            news = [_news(order) for order in found.values() if order.id in notification_lacks]
            await self._outbox.add(connection, [*news, *work])
        if lacking:
            self._tell(work=len(work), news=len(news))

    def _tell(self, *, work: int, news: int) -> None:
        self._relay.wake()
        self._missing[self._kitchen.name].inc(work)
        self._missing[self._notification.name].inc(news)
        logger.warning("messages_sent_again", kitchen=work, notification=news)


_NOTHING: frozenset[UUID] = frozenset()


def must_reach_kitchen(order: Unconfirmed) -> bool:
    return order.status is OrderStatus.STOCK_VERIFIED and not order.is_known_to_kitchen


def must_be_notified(order: Unconfirmed) -> bool:
    return order.notified_version < _version(order).version


def finding_of(order: Unconfirmed, kitchen_lacks: Missing, notification_lacks: Missing) -> Finding:
    """What the answers mean for one order that was asked about. Silence confirms nothing."""
    has_kitchen = not must_reach_kitchen(order) or _has(order.id, kitchen_lacks)
    is_notified = not must_be_notified(order) or _has(order.id, notification_lacks)
    return Finding(
        order_id=order.id,
        kitchen_knows=must_reach_kitchen(order) and has_kitchen,
        notified_version=_version(order).version if is_notified else order.notified_version,
        is_done=has_kitchen and is_notified,
        due_at=order.due_at,
    )


def _has(order_id: UUID, lacks: Missing) -> bool:
    return lacks is not None and order_id not in lacks


def _version(order: Unconfirmed) -> OrderVersion:
    """The gateway's own last word: the kitchen asks after its own."""
    return OrderVersion(
        order_id=order.id, version=1 if order.status is OrderStatus.PENDING else OWN_VERSION_LIMIT
    )


def _news(order: StoredOrder) -> OutboxMessage:
    event = own_status_event(order)
    return outbox_message(GATEWAY_STATUS, event, order_id=order.id, version=event.version)


def _work(order: StoredOrder) -> OutboxMessage:
    return outbox_message(WORK_PLACED, cook_order(order), order_id=order.id, version=order.version)
