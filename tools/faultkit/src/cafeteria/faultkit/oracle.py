"""I4, the oracle for answers: no client received an answer that contradicts the stored data.

A refusal from the sold-out view stores nothing. So another request under the same key, in transit at that moment or
sent later, may still be accepted: the refusal was correct when it was given. It is wrong if the student already knew
that the order was accepted or received when the refused request was sent.
"""

from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

from cafeteria.faultkit.history import ACCEPTED, CONFLICT, CREATED, OK, Exchange, History, Intent
from cafeteria.faultkit.snapshot import Snapshot, StoredOrder

TOO_LATE = b"/problems/too-late-to-cancel"

Key = tuple[str, str | None]
"""Student and idempotency key."""


def answers_agree_with_stored_data(stored: Snapshot, seen: History) -> Iterator[str]:
    """I4: no answer contradicts the stored data."""
    orders = _orders_by_key(stored)
    for key, exchanges in _requests_by_key(seen).items():
        yield from _answers_were_true(key, exchanges, orders.get(key))
    yield from _cancels_were_true(stored, seen)
    yield from _reads_were_true(stored, seen)


def overtaken_refusals(stored: Snapshot, seen: History) -> int:
    """Count keys under which one request was refused while another was in transit and was accepted."""
    orders = _orders_by_key(stored)
    return sum(
        any(exchange.status == CONFLICT for exchange in exchanges)
        and (order := orders.get(key)) is not None
        and order.status != "REJECTED"
        for key, exchanges in _requests_by_key(seen).items()
    )


def _answers_were_true(key: Key, exchanges: list[Exchange], order: StoredOrder | None) -> Iterator[str]:
    whose = f"student {key[0]} under key {key[1]}"
    created = [exchange for exchange in exchanges if exchange.status == CREATED]
    refused = [exchange for exchange in exchanges if exchange.status == CONFLICT]
    if created and (order is None or order.status in {"PENDING", "REJECTED"}):
        yield f"{whose} was answered 201 and the order is {order and order.status}"
    if not refused or order is None or order.status == "REJECTED":
        return
    known_at_s = min(
        (each.ended_at_s for each in exchanges if each.status in {CREATED, ACCEPTED}), default=None
    )
    if known_at_s is not None and any(each.sent_at_s > known_at_s for each in refused):
        yield f"{whose} was answered 409 after the order had been received, and it is {order.status}"
    if len(refused) == len(exchanges):
        yield f"{whose} was answered only 409 and the order is {order.status}"


def _cancels_were_true(stored: Snapshot, seen: History) -> Iterator[str]:
    for order_id in seen.cancelled_ids():
        order = stored.orders.get(order_id)
        if order is None or order.status != "CANCELLED":
            yield f"order {order_id} was answered as cancelled and is {order and order.status}"
    for exchange in seen.exchanges:
        if (
            exchange.intent is not Intent.CANCEL
            or exchange.status != CONFLICT
            or TOO_LATE not in exchange.body
        ):
            continue
        order = stored.orders.get(exchange.order_id) if exchange.order_id else None
        if order is None or order.status == "CANCELLED":
            yield f"order {exchange.order_id} was too late to cancel and is {order and order.status}"


def _reads_were_true(stored: Snapshot, seen: History) -> Iterator[str]:
    """Check that each read shows a status that the order once had, and that later reads show no older version."""
    paths: defaultdict[UUID, set[str]] = defaultdict(set)
    for row in stored.notifications:
        paths[row.order_id].add(row.status)
    newest: dict[UUID, tuple[float, int]] = {}
    for exchange in seen.exchanges:
        if exchange.intent is not Intent.READ or exchange.status != OK:
            continue
        order = exchange.shown()
        if order.status not in paths[order.id]:
            yield f"order {order.id} was read as {order.status}, which it never was"
        ended_at_s, version = newest.get(order.id, (0.0, 0))
        if exchange.sent_at_s > ended_at_s and order.version < version:
            yield f"order {order.id} was read at version {version} and then at {order.version}"
        if order.version > version:
            newest[order.id] = (exchange.ended_at_s, order.version)


def _orders_by_key(stored: Snapshot) -> dict[Key, StoredOrder]:
    return {
        (order.student_id, (order.key or "").partition(":")[2]): order for order in stored.orders.values()
    }


def _requests_by_key(seen: History) -> dict[Key, list[Exchange]]:
    found: defaultdict[Key, list[Exchange]] = defaultdict(list)
    for exchange in seen.orders():
        found[exchange.student_id, exchange.key].append(exchange)
    return dict(found)
