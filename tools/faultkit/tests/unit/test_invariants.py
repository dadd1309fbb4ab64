"""The checker accepts a correct history, and reports each planted fault by its invariant alone."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from cafeteria.contracts.gateway import Order, OrderLine
from cafeteria.contracts.values import STATUS_VERSIONS, OrderStatus, PricedLine
from cafeteria.faultkit.history import Exchange, History, Intent, ObservedStatus
from cafeteria.faultkit.invariants import check
from cafeteria.faultkit.oracle import TOO_LATE
from cafeteria.faultkit.snapshot import (
    Snapshot,
    StoredDecision,
    StoredItem,
    StoredNotification,
    StoredOrder,
    StoredTicket,
)

RICE, ORDER, CANCELLED, REFUSED = (UUID(int=number) for number in range(1, 5))
AT = datetime(2026, 3, 1, 18, tzinfo=UTC)
AMINA, BILAL = "210041101", "210041102"
LINES = (OrderLine(item_id=RICE, quantity=2),)


def body(order_id: UUID, status: OrderStatus = OrderStatus.STOCK_VERIFIED) -> bytes:
    order = Order(
        id=order_id,
        status=status,
        version=STATUS_VERSIONS[status],
        lines=(PricedLine(item_id=RICE, name="Rice", quantity=2, unit_price=Decimal(3)),),
        total=Decimal(6),
        created_at=AT,
    )
    return msgspec.json.encode(order)


def exchange(intent: Intent, status: int | None, **facts: Any) -> Exchange:
    defaults: dict[str, Any] = {"student_id": AMINA, "sent_at_s": 1.0, "ended_at_s": 2.0, "lines": LINES}
    return Exchange(intent=intent, status=status, **{**defaults, **facts})


def stored_order(order_id: UUID, status: str, key: str, **facts: Any) -> StoredOrder:
    defaults: dict[str, Any] = {
        "student_id": AMINA,
        "version": STATUS_VERSIONS[OrderStatus(status)],
        "reason": "OUT_OF_STOCK" if status == "REJECTED" else None,
        "lines": {RICE: 2},
        "released": status == "CANCELLED",
        "key": f"{AMINA}:{key}",
        "response_status": 409 if status == "REJECTED" else 201,
        "response_body": b"",
    }
    return StoredOrder(order_id=order_id, status=status, **{**defaults, **facts})


def decision(order_id: UUID, decided: str, *, released: bool = False) -> StoredDecision:
    return StoredDecision(order_id=order_id, decision=decided, reason=None, released=released)


def log(order_id: UUID, *statuses: str, start: int) -> list[StoredNotification]:
    return [
        StoredNotification(
            order_id=order_id,
            student_id=AMINA,
            status=status,
            version=STATUS_VERSIONS[OrderStatus(status)],
            position=start + number,
        )
        for number, status in enumerate(statuses)
    ]


def sound_snapshot() -> Snapshot:
    return Snapshot(
        items=(StoredItem(item_id=RICE, name="Rice", quantity=8, restocked=10, deducted=2),),
        orders={
            ORDER: stored_order(ORDER, "READY", "a"),
            CANCELLED: stored_order(CANCELLED, "CANCELLED", "b"),
            REFUSED: stored_order(REFUSED, "REJECTED", "c"),
        },
        decisions={
            ORDER: decision(ORDER, "RESERVED"),
            CANCELLED: decision(CANCELLED, "RESERVED", released=True),
            REFUSED: decision(REFUSED, "REJECTED"),
        },
        taken={ORDER: {RICE: 2}, CANCELLED: {RICE: 0}},
        tickets=(
            StoredTicket(order_id=ORDER, student_id=AMINA, status="READY", history=("IN_KITCHEN", "READY")),
            StoredTicket(order_id=CANCELLED, student_id=AMINA, status="CANCELLED", history=("CANCELLED",)),
        ),
        notifications=(
            *log(ORDER, "PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY", start=1),
            *log(CANCELLED, "PENDING", "STOCK_VERIFIED", "CANCELLED", start=5),
            *log(REFUSED, "PENDING", "REJECTED", start=8),
        ),
        outbox_rows=0,
        dead_letters=(),
    )


def sound_history() -> History:
    return History(
        exchanges=[
            exchange(Intent.ORDER, None, key="a"),
            exchange(Intent.ORDER, 201, key="a", body=body(ORDER), order_id=ORDER),
            exchange(Intent.ORDER, 201, key="a", body=body(ORDER), order_id=ORDER, replayed=True),
            exchange(Intent.ORDER, 201, key="b", body=body(CANCELLED), order_id=CANCELLED),
            exchange(Intent.CANCEL, 200, body=body(CANCELLED, OrderStatus.CANCELLED), order_id=CANCELLED),
            exchange(Intent.ORDER, 409, key="c", body=b"{}"),
            exchange(Intent.READ, 200, body=body(ORDER), order_id=ORDER),
            exchange(Intent.CANCEL, 409, body=TOO_LATE, order_id=ORDER),
        ],
        observed_statuses=[
            ObservedStatus(
                student_id=AMINA,
                client=0,
                connection=0,
                seen_at_s=3.0,
                event_id=str(row.position),
                order_id=row.order_id,
                status=OrderStatus(row.status),
                version=row.version,
                code="K7F2" if row.status in {"IN_KITCHEN", "READY", "COLLECTED"} else None,
            )
            for row in sound_snapshot().notifications
        ],
    )


def broken(stored: Snapshot, seen: History) -> set[str]:
    return {name.split()[0] for name, sentences in check(stored, seen).items() if sentences}


def test_a_correct_rush_has_no_violation() -> None:
    assert broken(sound_snapshot(), sound_history()) == set()


def change_stored(**changes: object) -> Snapshot:
    return msgspec.structs.replace(sound_snapshot(), **changes)


def change_order(order_id: UUID, **changes: object) -> Snapshot:
    stored = sound_snapshot()
    orders = {**stored.orders, order_id: msgspec.structs.replace(stored.orders[order_id], **changes)}
    return msgspec.structs.replace(stored, orders=orders)


PLANTED_IN_SNAPSHOT: dict[str, tuple[Callable[[], Snapshot], set[str]]] = {
    "a negative quantity": (
        lambda: change_stored(
            items=(StoredItem(item_id=RICE, name="Rice", quantity=-1, restocked=1, deducted=2),)
        ),
        {"I1"},
    ),
    "a portion that is not in the ledger": (
        lambda: change_stored(
            items=(StoredItem(item_id=RICE, name="Rice", quantity=7, restocked=10, deducted=2),)
        ),
        {"I1"},
    ),
    "an order taken twice": (lambda: change_stored(taken={ORDER: {RICE: 4}}), {"I2"}),
    "a verified order that took nothing": (lambda: change_stored(taken={}), {"I2"}),
    "portions taken without an order": (
        lambda: change_stored(taken={ORDER: {RICE: 2}, UUID(int=9): {RICE: 1}}),
        {"I2"},
    ),
    "an order that stock never decided": (
        lambda: change_stored(
            decisions={key: row for key, row in sound_snapshot().decisions.items() if key != ORDER}
        ),
        {"I2"},
    ),
    "a cancelled order that stock never released": (
        lambda: change_stored(
            decisions={
                **sound_snapshot().decisions,
                CANCELLED: StoredDecision(
                    order_id=CANCELLED, decision="RESERVED", reason=None, released=False
                ),
            }
        ),
        {"I2"},
    ),
    "a decision without an order": (
        lambda: change_stored(
            decisions={**sound_snapshot().decisions, UUID(int=9): decision(UUID(int=9), "REJECTED")}
        ),
        {"I2"},
    ),
    "a lost order": (
        lambda: change_stored(
            orders={key: order for key, order in sound_snapshot().orders.items() if key != ORDER}
        ),
        {"I2", "I3", "I5"},
    ),
    "an order that never got ready": (
        lambda: change_stored(
            orders={**sound_snapshot().orders, ORDER: stored_order(ORDER, "STOCK_VERIFIED", "a")}
        ),
        {"I3", "I6", "I8"},
    ),
    "a cancelled order that was not released": (lambda: change_order(CANCELLED, released=False), {"I3"}),
    "a doubled ticket": (
        lambda: change_stored(tickets=(*sound_snapshot().tickets, sound_snapshot().tickets[0])),
        {"I5"},
    ),
    "a ticket for a refused order": (
        lambda: change_stored(
            tickets=(
                *sound_snapshot().tickets,
                StoredTicket(order_id=REFUSED, student_id=AMINA, status="QUEUED", history=()),
            )
        ),
        {"I5"},
    ),
    "a ticket that was lost": (lambda: change_stored(tickets=sound_snapshot().tickets[1:]), {"I5"}),
    "a history that repeats a state": (
        lambda: change_stored(
            tickets=(
                StoredTicket(
                    order_id=ORDER,
                    student_id=AMINA,
                    status="READY",
                    history=("IN_KITCHEN", "IN_KITCHEN", "READY"),
                ),
                sound_snapshot().tickets[1],
            )
        ),
        {"I6"},
    ),
    "a status that was never logged": (
        lambda: change_stored(notifications=sound_snapshot().notifications[1:]),
        {"I6"},
    ),
    "two orders under one key": (lambda: change_order(REFUSED, key=f"{AMINA}:a"), {"I7"}),
    "an order under a key that nobody sent": (lambda: change_order(ORDER, key=f"{AMINA}:z"), {"I7"}),
    "another student's ticket": (
        lambda: change_stored(
            tickets=(
                msgspec.structs.replace(sound_snapshot().tickets[0], student_id=BILAL),
                sound_snapshot().tickets[1],
            )
        ),
        {"I9"},
    ),
    "a message that was never published": (lambda: change_stored(outbox_rows=3), {"I10"}),
    "a message that nobody acknowledged": (
        lambda: change_stored(on_the_way=("kitchen-work has 2 messages that it has not read",)),
        {"I10"},
    ),
}


@pytest.mark.parametrize("name", PLANTED_IN_SNAPSHOT)
def test_a_fault_planted_in_the_stored_data_is_reported(name: str) -> None:
    plant, expected = PLANTED_IN_SNAPSHOT[name]
    reported = broken(plant(), sound_history())
    assert expected <= reported, f"{name}: reported {reported}"


def with_exchange(extra: Exchange) -> History:
    seen = sound_history()
    return History(exchanges=[*seen.exchanges, extra], observed_statuses=seen.observed_statuses)


def with_statuses(change: Callable[[list[ObservedStatus]], list[ObservedStatus]]) -> History:
    seen = sound_history()
    return History(exchanges=seen.exchanges, observed_statuses=change(seen.observed_statuses))


PLANTED_IN_HISTORY: dict[str, tuple[Callable[[], History], str]] = {
    "201 for an order that does not exist": (
        lambda: with_exchange(exchange(Intent.ORDER, 201, key="d", body=body(UUID(int=8)))),
        "I3",
    ),
    "202 for an order that does not exist": (
        lambda: with_exchange(exchange(Intent.ORDER, 202, key="d", body=body(UUID(int=8)))),
        "I3",
    ),
    "too late to cancel, for an order that is cancelled": (
        lambda: with_exchange(exchange(Intent.CANCEL, 409, order_id=CANCELLED, body=TOO_LATE)),
        "I4",
    ),
    "an order read with a status that it never had": (
        lambda: with_exchange(
            exchange(Intent.READ, 200, order_id=ORDER, body=body(ORDER, OrderStatus.CANCELLED))
        ),
        "I4",
    ),
    "an order read backwards": (
        lambda: with_exchange(
            exchange(
                Intent.READ,
                200,
                order_id=ORDER,
                body=body(ORDER, OrderStatus.PENDING),
                sent_at_s=3.0,
                ended_at_s=4.0,
            )
        ),
        "I4",
    ),
    "201 for an order that was refused": (
        lambda: with_exchange(exchange(Intent.ORDER, 201, key="d", body=body(REFUSED))),
        "I4",
    ),
    "409 for an order that was accepted": (
        lambda: with_exchange(
            exchange(Intent.ORDER, 409, key="a", body=b"{}", sent_at_s=2.5, ended_at_s=3.0)
        ),
        "I4",
    ),
    "cancelled, for an order that is cooked": (
        lambda: with_exchange(exchange(Intent.CANCEL, 200, order_id=ORDER, body=body(ORDER))),
        "I4",
    ),
    "two different answers under one key": (
        lambda: with_exchange(exchange(Intent.ORDER, 201, key="a", body=body(ORDER) + b" ")),
        "I7",
    ),
    "a missed event": (lambda: with_statuses(lambda seen: seen[:2] + seen[3:]), "I8"),
    "an event shown twice": (lambda: with_statuses(lambda seen: [seen[0], *seen]), "I8"),
    "events out of order": (lambda: with_statuses(lambda seen: [seen[1], seen[0], *seen[2:]]), "I8"),
    "an order without events on its stream": (lambda: with_statuses(lambda seen: seen[:7]), "I8"),
    "an event of another student's order": (
        lambda: with_statuses(lambda seen: [*seen, msgspec.structs.replace(seen[0], student_id=BILAL)]),
        "I9",
    ),
    "a meal that is ready and has no code": (
        lambda: with_statuses(lambda seen: [msgspec.structs.replace(each, code=None) for each in seen]),
        "I9",
    ),
    "a code that changes": (
        lambda: with_statuses(
            lambda seen: [
                msgspec.structs.replace(each, code="9WXD") if each.status == "READY" else each
                for each in seen
            ]
        ),
        "I9",
    ),
    "a code that another order has too": (
        lambda: with_statuses(
            lambda seen: [
                *seen,
                msgspec.structs.replace(seen[-1], order_id=UUID(int=77), code="K7F2"),
            ]
        ),
        "I9",
    ),
    "another student's order in an answer": (
        lambda: with_exchange(exchange(Intent.READ, 200, student_id=BILAL, order_id=ORDER, body=body(ORDER))),
        "I9",
    ),
}


@pytest.mark.parametrize("name", PLANTED_IN_HISTORY)
def test_a_fault_planted_in_the_observed_history_is_reported(name: str) -> None:
    plant, expected = PLANTED_IN_HISTORY[name]
    reported = broken(sound_snapshot(), plant())
    assert expected in reported, f"{name}: reported {reported}"
