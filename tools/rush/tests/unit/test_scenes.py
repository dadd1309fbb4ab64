"""The scenes report wrong stored data: too many or too few portions sold, two answers under one key."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec

from cafeteria.contracts.gateway import OrderLine
from cafeteria.faultkit.history import Exchange, History, Intent
from cafeteria.faultkit.snapshot import Snapshot, StoredItem, StoredOrder
from cafeteria.rush.scenes import BuyOut, LastPortions, SameKey

DISH = UUID(int=1)
LINES = (OrderLine(item_id=DISH, quantity=1),)


def stored(*, left: int = 0, orders: int = 0) -> Snapshot:
    return Snapshot(
        items=(
            StoredItem(item_id=DISH, name="Last portions 1", quantity=left, restocked=2, deducted=2 - left),
        ),
        orders={UUID(int=number): stored_order(UUID(int=number)) for number in range(orders)},
        decisions={},
        taken={},
        tickets=(),
        notifications=(),
        outbox_rows=0,
        dead_letters=(),
    )


def stored_order(order_id: UUID) -> StoredOrder:
    return StoredOrder(
        order_id=order_id,
        student_id="210041101",
        status="READY",
        version=4,
        reason=None,
        lines={},
        released=False,
        key=None,
        response_status=201,
        response_body=b"",
    )


def load_clients(*answers: tuple[str, bytes]) -> Any:
    exchanges = [
        Exchange(
            intent=Intent.ORDER,
            student_id="210041101",
            sent_at_s=0,
            ended_at_s=1,
            status=201,
            key=key,
            body=body,
            lines=LINES,
        )
        for key, body in answers
    ]
    return SimpleNamespace(history=History(exchanges=exchanges))


def last_portions(left: int, *keys: str) -> list[str]:
    scene = LastPortions(rounds=1, buyers=9, portions=2)
    scene.dishes[DISH] = "Last portions 1"
    return scene.judge(stored(left=left), load_clients(*((key, b"{}") for key in keys)))


def test_selling_every_portion_once_is_right_also_with_repeated_answers() -> None:
    assert last_portions(0, "a", "b", "b") == []


def test_a_portion_that_is_sold_twice_is_reported() -> None:
    assert last_portions(0, "a", "b", "c") == [
        "Last portions 1: 3 orders were accepted for 2 portions, and 0 are left"
    ]


def test_an_unsold_portion_is_reported() -> None:
    assert last_portions(1, "a") == ["Last portions 1: 1 orders were accepted for 2 portions, and 1 are left"]


def test_one_order_and_one_answer_for_each_key_is_right() -> None:
    assert SameKey(keys=2).judge(stored(orders=2), load_clients(("a", b"1"), ("a", b"1"), ("b", b"2"))) == []


def test_two_answers_under_one_key_are_reported() -> None:
    assert SameKey(keys=1).judge(stored(orders=1), load_clients(("a", b"1"), ("a", b"2"))) == [
        "key a was answered in 2 ways"
    ]


def test_an_order_too_many_is_reported() -> None:
    assert SameKey(keys=1).judge(stored(orders=2), load_clients(("a", b"1"))) == [
        "1 keys made 2 orders and 1 of them were answered"
    ]


BUYER, HONEST = "210041101", "210041102"


def buy_out(*, bought: int, later: int, honest: int) -> list[str]:
    """Judge a buyer with `bought` portions and the answer `later`, and another student who was answered `honest`."""
    order = msgspec.structs.replace(stored_order(UUID(int=1)), lines={DISH: bought})
    scene = BuyOut()
    scene.later_keys = frozenset({"later"})
    clients: Any = SimpleNamespace(
        students=[SimpleNamespace(student_id=BUYER)],
        gateways=2,
        history=History(exchanges=[exchange(BUYER, "later", later), exchange(HONEST, "theirs", honest)]),
    )
    return scene.judge(msgspec.structs.replace(stored(), orders={order.order_id: order}), clients)


def exchange(student_id: str, key: str, status: int) -> Exchange:
    return Exchange(
        intent=Intent.ORDER,
        student_id=student_id,
        sent_at_s=0,
        ended_at_s=1,
        status=status,
        key=key,
        lines=LINES,
    )


def test_a_buyer_who_is_stopped_at_the_limit_of_each_gateway_is_right() -> None:
    assert buy_out(bought=80, later=429, honest=201) == []


def test_portions_above_the_limit_and_later_orders_of_the_buyer_are_reported() -> None:
    assert buy_out(bought=100, later=201, honest=201) == [
        f"the buyer has 100 portions of {DISH}",
        "the buyer's later order later was answered 201",
    ]


def test_another_student_who_is_refused_is_reported() -> None:
    assert buy_out(bought=40, later=429, honest=429) == [f"student {HONEST} was answered 429"]
    assert buy_out(bought=40, later=429, honest=409) == [f"student {HONEST} was answered 409"]
