"""Reconcile delivery, at the gateway: ask the kitchen and notification which orders they lack, and send those again."""

from collections.abc import Sequence
from uuid import UUID

from cafeteria.contracts.orders import CheckDelivery
from cafeteria.contracts.values import OrderStatus, OrderVersion
from cafeteria.gateway.domain import OWN_VERSION_LIMIT
from cafeteria.protocol_model.gateway_tables import Finding, GatewayTables, Unconfirmed
from cafeteria.protocol_model.scheduler import LOST, Ask, Commit, Listener, Steps

Missing = frozenset[UUID] | None
"""The orders that a receiver lacks; None when it gave no answer."""
NOTHING: frozenset[UUID] = frozenset()


def reconcile(
    tables: GatewayTables, *, kitchen: Sequence[Listener], notification: Sequence[Listener]
) -> Steps:
    """Ask both receivers about unconfirmed deliveries, and send again what they lack. Store nothing if none answers."""
    at = tables.scheduler.now
    due = yield Commit("reconcile reads what is unconfirmed", tables.find_unconfirmed, at)
    if due is LOST or not due:
        return
    cooked = [_version(order) for order in due if _must_reach_kitchen(order)]
    notified = [_version(order) for order in due if _must_be_notified(order)]
    kitchen_lacks = yield from find_missing("known to the kitchen?", kitchen, cooked)
    notification_lacks = yield from find_missing("known to notification?", notification, notified)
    if kitchen_lacks is None and notification_lacks is None:
        return
    findings = [_finding_of(order, kitchen_lacks, notification_lacks) for order in due]
    yield Commit(
        "reconcile writes down what it found",
        tables.confirm,
        findings,
        kitchen_lacks or NOTHING,
        notification_lacks or NOTHING,
        at,
    )


def find_missing(label: str, peers: Sequence[Listener], versions: list[OrderVersion]) -> Steps:
    """Return the orders that a receiver lacks, or None if it gave no answer."""
    if not versions:
        return NOTHING
    answer = yield Ask(label, peers, CheckDelivery(items=tuple(versions)))
    if answer is LOST or answer.behind:
        return None
    return frozenset(each.order_id for each in answer.missing)


def _must_reach_kitchen(order: Unconfirmed) -> bool:
    return order.status is OrderStatus.STOCK_VERIFIED and not order.is_known_to_kitchen


def _must_be_notified(order: Unconfirmed) -> bool:
    return order.notified_version < _version(order).version


def _version(order: Unconfirmed) -> OrderVersion:
    """The last version of the order that the gateway itself publishes."""
    own = 1 if order.status is OrderStatus.PENDING else OWN_VERSION_LIMIT
    return OrderVersion(order_id=order.order_id, version=own)


def _finding_of(order: Unconfirmed, kitchen_lacks: Missing, notification_lacks: Missing) -> Finding:
    """Combine both answers; a missing answer confirms nothing."""
    has_kitchen = not _must_reach_kitchen(order) or _has(order.order_id, kitchen_lacks)
    is_notified = not _must_be_notified(order) or _has(order.order_id, notification_lacks)
    return Finding(
        order.order_id,
        _must_reach_kitchen(order) and has_kitchen,
        _version(order).version if is_notified else order.notified_version,
        has_kitchen and is_notified,
        order.next_check_at,
    )


def _has(order_id: UUID, lacks: Missing) -> bool:
    return lacks is not None and order_id not in lacks
