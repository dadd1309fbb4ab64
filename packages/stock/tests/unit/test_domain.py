"""All lines or none, once for ever, and never more than there is: the rules on a batch in memory."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from cafeteria.contracts.stock import MAX_AGE_MS, Decision, ReserveStock, TransactionKind
from cafeteria.contracts.values import Line, RejectionReason
from cafeteria.stock.domain import LedgerEntry, Reservation, Shelf, StoredItem

NOW = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)
HALEEM, JILAPI, PIYAJU, NOWHERE = (UUID(int=number) for number in (1, 2, 3, 9))
FIRST, SECOND, THIRD = (UUID(int=number) for number in (11, 12, 13))


def item(item_id: UUID, *, quantity: int, price: str = "60.00", on_sale: bool = True) -> StoredItem:
    return StoredItem(
        id=item_id,
        name=f"item {item_id.int}",
        price=Decimal(price),
        on_sale=on_sale,
        quantity=quantity,
        version=7,
    )


def order(order_id: UUID, lines: dict[UUID, int], *, age_ms: int = 0) -> ReserveStock:
    return ReserveStock(
        order_id=order_id,
        lines=tuple(Line(item_id=item_id, quantity=quantity) for item_id, quantity in lines.items()),
        age_ms=age_ms,
    )


def shelf(*items: StoredItem, reservations: tuple[Reservation, ...] = (), now: datetime = NOW) -> Shelf:
    return Shelf(items=items, reservations=reservations, now=now)


def decided_before(lines: dict[UUID, int], *, quantity: int = 5) -> Reservation:
    """What an earlier batch made of this order."""
    return shelf(*(item(item_id, quantity=quantity) for item_id in lines)).reserve(order(FIRST, lines))


@pytest.mark.parametrize(
    ("lines", "age_ms", "reason", "refused"),
    [
        pytest.param({HALEEM: 3, JILAPI: 1}, 0, None, set(), id="everything is there"),
        pytest.param({HALEEM: 4}, 0, RejectionReason.OUT_OF_STOCK, {HALEEM}, id="one too many"),
        pytest.param(
            {HALEEM: 3, JILAPI: 2, PIYAJU: 1},
            0,
            RejectionReason.OUT_OF_STOCK,
            {JILAPI, PIYAJU},
            id="each item that is short is named, and one taken off counts as out",
        ),
        pytest.param(
            {HALEEM: 9, NOWHERE: 1},
            0,
            RejectionReason.UNKNOWN_ITEM,
            {NOWHERE},
            id="an unknown item says more than one that is out",
        ),
        pytest.param({HALEEM: 1}, MAX_AGE_MS, None, set(), id="the last moment is in time"),
        pytest.param(
            {HALEEM: 1},
            MAX_AGE_MS + 1,
            RejectionReason.EXPIRED,
            set(),
            id="past its time it takes nothing",
        ),
    ],
)
def test_an_order_is_reserved_whole_or_refused_with_a_reason(
    lines: dict[UUID, int],
    age_ms: int,
    reason: RejectionReason | None,
    refused: set[UUID],
) -> None:
    at_hand = shelf(
        item(HALEEM, quantity=3), item(JILAPI, quantity=1), item(PIYAJU, quantity=5, on_sale=False)
    )

    decided = at_hand.reserve(order(FIRST, lines, age_ms=age_ms))

    assert decided.decision is (Decision.REJECTED if reason else Decision.RESERVED)
    assert decided.reason is reason
    assert {line.item_id for line in decided.lines if line.refused} == refused
    moved = {entry.item_id: entry.quantity_deducted for entry in at_hand.changes.ledger}
    assert moved == ({} if reason else lines)


def test_the_decision_carries_name_and_price_of_its_moment() -> None:
    decided = shelf(item(HALEEM, quantity=3, price="120.50")).reserve(order(FIRST, {HALEEM: 2}))

    assert [(line.name, line.unit_price, line.quantity) for line in decided.lines] == [
        ("item 1", Decimal("120.50"), 2)
    ]


def test_who_came_first_is_served_first() -> None:
    at_hand = shelf(item(HALEEM, quantity=2))

    decisions = [
        at_hand.reserve(order(order_id, {HALEEM: wanted})).decision
        for order_id, wanted in ((FIRST, 1), (SECOND, 2), (THIRD, 1))
    ]

    assert decisions == [Decision.RESERVED, Decision.REJECTED, Decision.RESERVED]
    assert [(each.quantity, each.version) for each in at_hand.changes.items] == [(0, 8)]


def test_a_refused_order_leaves_its_portions_to_the_next() -> None:
    at_hand = shelf(item(HALEEM, quantity=1), item(JILAPI, quantity=0))
    at_hand.reserve(order(FIRST, {HALEEM: 1, JILAPI: 1}))

    assert at_hand.reserve(order(SECOND, {HALEEM: 1})).decision is Decision.RESERVED


def test_the_same_order_twice_in_a_batch_gets_one_decision() -> None:
    at_hand = shelf(item(HALEEM, quantity=5))
    first = at_hand.reserve(order(FIRST, {HALEEM: 2}))
    second = at_hand.reserve(order(FIRST, {HALEEM: 3}))

    assert second is first
    assert len(at_hand.changes.decided) == len(at_hand.changes.ledger) == 1


def test_an_earlier_decision_stays_whatever_the_repeat_contains() -> None:
    known = decided_before({HALEEM: 2})
    at_hand = shelf(item(HALEEM, quantity=0, price="999.00"), reservations=(known,))

    late = order(FIRST, {HALEEM: 1}, age_ms=3_600_000)

    assert at_hand.reserve(late) is known
    assert not at_hand.changes


def test_a_release_gives_back_what_was_taken_and_marks_the_decision() -> None:
    known = decided_before({HALEEM: 2, JILAPI: 1})
    at_hand = shelf(item(HALEEM, quantity=3), item(JILAPI, quantity=4), reservations=(known,))

    assert at_hand.release(FIRST).released_at == NOW

    changes = at_hand.changes
    assert changes.released == (FIRST,)
    assert changes.decided == ()
    assert [(each.id, each.quantity) for each in changes.items] == [(HALEEM, 5), (JILAPI, 5)]
    assert changes.ledger == (
        LedgerEntry(order_id=FIRST, item_id=HALEEM, quantity_deducted=-2, kind=TransactionKind.RELEASE),
        LedgerEntry(order_id=FIRST, item_id=JILAPI, quantity_deducted=-1, kind=TransactionKind.RELEASE),
    )


def test_a_second_release_answers_the_first_moment_and_changes_nothing() -> None:
    released = shelf(item(HALEEM, quantity=3), reservations=(decided_before({HALEEM: 2}),)).release(FIRST)
    at_hand = shelf(item(HALEEM, quantity=5), reservations=(released,), now=LATER)

    assert at_hand.release(FIRST).released_at == NOW
    assert at_hand.release(FIRST).released_at == NOW
    assert not at_hand.changes


def test_two_releases_in_one_batch_give_back_once() -> None:
    at_hand = shelf(item(HALEEM, quantity=3), reservations=(decided_before({HALEEM: 2}),))
    at_hand.release(FIRST)
    at_hand.release(FIRST)

    assert len(at_hand.changes.ledger) == len(at_hand.changes.released) == 1


def test_a_released_refusal_gives_nothing_back_but_is_marked() -> None:
    refusal = decided_before({HALEEM: 2}, quantity=1)
    at_hand = shelf(item(HALEEM, quantity=1), reservations=(refusal,))

    assert at_hand.release(FIRST).released_at == NOW
    assert at_hand.changes.released == (FIRST,)
    assert at_hand.changes.ledger == at_hand.changes.items == ()


def test_a_release_of_an_order_never_seen_refuses_it_for_ever() -> None:
    at_hand = shelf(item(HALEEM, quantity=5))
    tombstone = at_hand.release(FIRST)

    assert (tombstone.decision, tombstone.reason) == (Decision.REJECTED, RejectionReason.EXPIRED)
    assert tombstone.released_at == NOW
    assert at_hand.reserve(order(FIRST, {HALEEM: 1})) is tombstone
    assert at_hand.changes.decided == (tombstone,)
    assert at_hand.changes.ledger == ()


def test_reserved_and_released_in_one_batch_is_one_decision_and_a_ledger_of_zero() -> None:
    at_hand = shelf(item(HALEEM, quantity=5))
    at_hand.reserve(order(FIRST, {HALEEM: 2}))
    at_hand.release(FIRST)

    changes = at_hand.changes
    assert [(each.decision, each.released_at) for each in changes.decided] == [(Decision.RESERVED, NOW)]
    assert changes.released == ()
    assert [entry.quantity_deducted for entry in changes.ledger] == [2, -2]
    assert [(each.quantity, each.version) for each in changes.items] == [(5, 8)]


def test_what_a_release_gives_back_is_there_for_the_next_order_of_the_batch() -> None:
    at_hand = shelf(item(HALEEM, quantity=0), reservations=(decided_before({HALEEM: 2}),))
    at_hand.release(FIRST)

    assert at_hand.reserve(order(SECOND, {HALEEM: 2})).decision is Decision.RESERVED


def test_changes_come_in_the_order_in_which_rows_are_locked() -> None:
    at_hand = shelf(item(JILAPI, quantity=9), item(HALEEM, quantity=9))
    at_hand.reserve(order(SECOND, {JILAPI: 1}))
    at_hand.reserve(order(FIRST, {HALEEM: 1}))

    assert [each.order_id for each in at_hand.changes.decided] == [FIRST, SECOND]
    assert [each.id for each in at_hand.changes.items] == [HALEEM, JILAPI]


def test_an_item_off_sale_has_nothing_available() -> None:
    assert item(HALEEM, quantity=5).available == 5
    assert item(HALEEM, quantity=5, on_sale=False).available == 0
