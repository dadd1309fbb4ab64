"""Checks a finished schedule: the invariants of the real rush, and six promises that only the model can judge."""

from collections.abc import Iterator
from uuid import UUID

from cafeteria.contracts.stock import Decision
from cafeteria.contracts.subjects import GATEWAY_STATUS, KITCHEN_STATUS, WORK_PLACED
from cafeteria.contracts.values import OrderStatus, RejectionReason
from cafeteria.faultkit.history import History, ObservedStatus
from cafeteria.faultkit.invariants import check
from cafeteria.faultkit.snapshot import (
    Snapshot,
    StoredDecision,
    StoredItem,
    StoredNotification,
    StoredOrder,
    StoredTicket,
)
from cafeteria.protocol_model.cafeteria import Cafeteria
from cafeteria.protocol_model.operator import STRAY_ORDER

CREATED, CONFLICT = 201, 409


def broken_promises(cafeteria: Cafeteria) -> list[str]:
    """Return a sentence for each violation."""
    stored = snapshot_of(cafeteria)
    reported = check(stored, history_of(cafeteria))
    sentences = [f"{name}: {each}" for name, found in reported.items() if found for each in found]
    sentences += [f"M1 nothing is forgotten: {each}" for each in cafeteria.gateway.breaches]
    sentences += [f"M2 an order is decided in its time: {each}" for each in _decided_late(cafeteria)]
    sentences += [f"M3 every stream showed something: {each}" for each in _silent_streams(cafeteria)]
    sentences += [f"M4 repeats get the final answer: {each}" for each in _wrong_answers(stored)]
    sentences += [f"M5 unreadable items are kept: {each}" for each in _lost_letters(cafeteria)]
    sentences += [f"M6 the kitchen is named where it refused: {each}" for each in _wrong_names(cafeteria)]
    return sentences


def _decided_late(cafeteria: Cafeteria) -> Iterator[str]:
    """Find reservations whose request was sent after the order expired; one sent in time may arrive late."""
    expiries = {order_id: row.stored.expires_at for order_id, row in cafeteria.gateway.orders.items()}
    for order_id, reservation in cafeteria.stock.reservations.items():
        if reservation.decision is Decision.RESERVED and order_id in expiries:
            late = cafeteria.stock.asked_at[order_id] - expiries[order_id]
            if late.total_seconds() > 0:
                yield f"order {order_id} was reserved, by a request {late.total_seconds():.0f} s after it expired"


def _lost_letters(cafeteria: Cafeteria) -> Iterator[str]:
    """Find unreadable items that a reader of a stream that was never lost did not keep as dead letters."""
    readers = (
        (cafeteria.kitchen, cafeteria.bus.kitchen, (WORK_PLACED,)),
        (cafeteria.gateway, cafeteria.bus.notification, (KITCHEN_STATUS,)),
        (cafeteria.notification, cafeteria.bus.notification, (GATEWAY_STATUS, KITCHEN_STATUS)),
    )
    for tables, stream, topics in readers:
        kept = tables.dead_letters.kept
        for item in (*cafeteria.gateway.outbox.unreadable, *cafeteria.kitchen.outbox.unreadable):
            if stream.epoch == 1 and item.topic in topics and (item.topic.subject, item.body) not in kept:
                yield f"an item of {item.topic.subject} that no receiver can read is not a dead letter"


def _wrong_names(cafeteria: Cafeteria) -> Iterator[str]:
    """Find cancelled orders for which gateway or notification names another than the kitchen's own row does."""
    refused = {
        row.ticket.order_id: row.ticket.refusal is not None for row in cafeteria.kitchen.tickets.values()
    }
    told = {
        each.order_id: each.reason
        for each in cafeteria.notification.log
        if each.status is OrderStatus.CANCELLED
    }
    for order_id, row in cafeteria.gateway.orders.items():
        if row.stored.status is not OrderStatus.CANCELLED:
            continue
        expected = RejectionReason.KITCHEN if refused.get(order_id) else None
        if row.stored.rejection_reason is not expected:
            yield f"order {order_id} has the reason {row.stored.rejection_reason} at the gateway, not {expected}"
        if told.get(order_id) is not expected:
            yield f"order {order_id} was told with the reason {told.get(order_id)}, not {expected}"


def _silent_streams(cafeteria: Cafeteria) -> Iterator[str]:
    students = {row.stored.student_id for row in cafeteria.gateway.orders.values()}
    for follower in cafeteria.load_clients.followers:
        if follower.student_id in students and not follower.shown:
            yield f"{follower.student_id} has orders and saw nothing"


def _wrong_answers(stored: Snapshot) -> Iterator[str]:
    for order in stored.orders.values():
        expected = {"PENDING": None, "REJECTED": CONFLICT}.get(order.status, CREATED)
        if order.response_status != expected:
            yield f"order {order.order_id} is {order.status} and a repeat is answered {order.response_status}"


def history_of(cafeteria: Cafeteria) -> History:
    return History(
        exchanges=[sent.as_exchange() for sent in cafeteria.load_clients.sent],
        observed_statuses=[
            ObservedStatus(
                student_id=follower.student_id,
                client=0,
                connection=0,
                seen_at_s=0.0,
                event_id=str(position),
                order_id=status.order_id,
                status=status.status,
                version=status.version,
                code=None if status.pickup is None else status.pickup.code,
            )
            for follower in cafeteria.load_clients.followers
            for position, status in follower.shown
        ],
    )


def snapshot_of(cafeteria: Cafeteria) -> Snapshot:
    """Return the rows of all tables in the form that the real checker reads."""
    taken: dict[UUID, dict[UUID, int]] = {}
    for entry in cafeteria.stock.ledger:
        of_order = taken.setdefault(entry.order_id, {})
        of_order[entry.item_id] = of_order.get(entry.item_id, 0) + entry.quantity_deducted
    return Snapshot(
        items=tuple(_items(cafeteria, taken)),
        orders={order.order_id: order for order in _orders(cafeteria)},
        decisions={decision.order_id: decision for decision in _decisions(cafeteria)},
        taken=taken,
        tickets=tuple(_tickets(cafeteria)),
        notifications=tuple(_notifications(cafeteria)),
        outbox_rows=len(cafeteria.gateway.outbox.rows) + len(cafeteria.kitchen.outbox.rows),
        dead_letters=(),
    )


def _items(cafeteria: Cafeteria, taken: dict[UUID, dict[UUID, int]]) -> Iterator[StoredItem]:
    for item_id, item in cafeteria.stock.items.items():
        yield StoredItem(
            item_id=item_id,
            name=item.name,
            quantity=item.quantity,
            restocked=cafeteria.stock.restocked[item_id],
            deducted=sum(of_order.get(item_id, 0) for of_order in taken.values()),
        )


def _orders(cafeteria: Cafeteria) -> Iterator[StoredOrder]:
    for order_id, row in cafeteria.gateway.orders.items():
        order, key = row.stored, cafeteria.gateway.keys_of_orders[order_id]
        yield StoredOrder(
            order_id=order_id,
            student_id=order.student_id,
            status=order.status,
            version=order.version,
            reason=order.rejection_reason,
            lines={line.item_id: line.quantity for line in order.lines},
            released=row.released_at is not None,
            key=key.key,
            response_status=key.answer.status if key.answer else None,
            response_body=key.answer.body if key.answer else None,
        )


def _decisions(cafeteria: Cafeteria) -> Iterator[StoredDecision]:
    for order_id, reservation in cafeteria.stock.reservations.items():
        if order_id == STRAY_ORDER:
            continue
        yield StoredDecision(
            order_id=order_id,
            decision=reservation.decision,
            reason=reservation.reason,
            released=reservation.released_at is not None,
        )


def _tickets(cafeteria: Cafeteria) -> Iterator[StoredTicket]:
    for row in cafeteria.kitchen.tickets.values():
        yield StoredTicket(
            order_id=row.ticket.order_id,
            student_id=row.ticket.student_id,
            status=row.ticket.status,
            history=tuple(row.history),
        )


def _notifications(cafeteria: Cafeteria) -> Iterator[StoredNotification]:
    for position, status in enumerate(cafeteria.notification.log, start=1):
        yield StoredNotification(
            order_id=status.order_id,
            student_id=status.student_id,
            status=status.status,
            version=status.version,
            position=position,
        )
