"""The limits of one student: which requests of a batch are refused, with which words, and until when."""

from collections.abc import Sequence
from uuid import UUID

from cafeteria.chassis.runtime.errors import LimitReached
from cafeteria.contracts.values import Line
from cafeteria.gateway.domain import NewOrder, Placing
from cafeteria.gateway.errors import OpenOrdersReached, OrdersPerDayReached, PortionsReached
from cafeteria.gateway.limits import ORDERS_PER_DAY, Limits, RecentOrder, StoredUsages, Usage, refusals

HALEEM, DATES = UUID(int=1), UUID(int=2)
STUDENT, OTHER = "210041101", "210041102"
OPEN = Limits(open_orders=2, portions_per_hour=0)
PORTIONS = Limits(open_orders=0, portions_per_hour=40)


def request(number: int, *, key: str = "", student: str = STUDENT, **portions: int) -> Placing:
    quantities = {HALEEM: portions.get("haleem", 0), DATES: portions.get("dates", 0)}
    lines = tuple(Line(item_id=item, quantity=count) for item, count in quantities.items() if count)
    order = NewOrder(id=UUID(int=number), student_id=student, lines=lines)
    return Placing(order=order, key=f"{student}:{key or number}", request_hash=b"")


def recent(age_s: float, haleem: int) -> RecentOrder:
    return RecentOrder(age_s=age_s, lines=(Line(item_id=HALEEM, quantity=haleem),))


def judged(
    placings: Sequence[Placing], limits: Limits, usage: Usage | None = None, *used_keys: str
) -> dict[int, LimitReached]:
    """Return the refusals by the number of the request."""
    usages = {} if usage is None else {usage.student_id: usage}
    stored = StoredUsages(used_keys=frozenset(used_keys), usages=usages)
    return {order_id.int: refusal for order_id, refusal in refusals(placings, stored, limits).items()}


def test_limits_of_0_are_off_and_refuse_nothing() -> None:
    off = Limits(open_orders=0, portions_per_hour=0)
    assert (off.are_on, OPEN.are_on, PORTIONS.are_on) == (False, True, True)
    assert judged([request(number, haleem=20) for number in range(9)], off) == {}


def test_the_open_orders_of_one_batch_are_counted_in_order_of_arrival() -> None:
    refused = judged([request(number, haleem=1) for number in (4, 3, 2, 1)], OPEN)
    assert sorted(refused) == [1, 2]
    assert all(isinstance(refusal, OpenOrdersReached) for refusal in refused.values())


def test_stored_open_orders_are_counted_and_another_students_are_not() -> None:
    placings = [request(1, haleem=1), request(2, haleem=1), request(3, haleem=1, student=OTHER)]
    assert list(judged(placings, OPEN, Usage(student_id=STUDENT, open_orders=1))) == [2]


def test_a_repeat_is_not_judged_and_takes_no_place() -> None:
    repeat, new, too_many = request(1, key="old", haleem=1), request(2, haleem=1), request(3, haleem=1)
    usage = Usage(student_id=STUDENT, open_orders=1)
    assert list(judged([repeat, new, too_many], OPEN, usage, repeat.key)) == [3]


def test_one_key_twice_in_a_batch_is_judged_once() -> None:
    placings = [request(1, key="k", haleem=1), request(2, key="k", haleem=1), request(3, haleem=1)]
    assert judged(placings, OPEN) == {}
    full = Usage(student_id=STUDENT, open_orders=2)
    assert list(judged(placings, OPEN, full)) == [1, 2, 3]


def test_a_refused_order_takes_no_portions_from_a_smaller_one_after_it() -> None:
    placings = [request(1, haleem=15), request(2, haleem=15), request(3, haleem=15), request(4, haleem=10)]
    assert list(judged(placings, PORTIONS)) == [3]


def test_portions_are_counted_for_each_item() -> None:
    usage = Usage(student_id=STUDENT, recent=[recent(60, haleem=40)])
    placings = [
        request(1, haleem=1, dates=20),
        request(2, dates=20),
        request(3, dates=20),
        request(4, dates=1),
    ]
    refused = judged(placings, PORTIONS, usage)
    assert {number: refusal.members["item_ids"] for number, refusal in refused.items()} == {
        1: (HALEEM,),
        4: (DATES,),
    }


def test_the_refusal_says_when_enough_portions_are_an_hour_old() -> None:
    usage = Usage(student_id=STUDENT, recent=[recent(1200, 20), recent(3500.5, 10), recent(600, 10)])
    waits = {}
    for portions in (1, 10, 11, 20):
        [refusal] = judged([request(1, haleem=portions)], PORTIONS, usage).values()
        assert isinstance(refusal, PortionsReached)
        waits[portions] = refusal.headers["Retry-After"]
    assert waits == {1: "100", 10: "100", 11: "2400", 20: "2400"}
    assert "40 portions of one item within an hour" in refusal.detail
    assert "try again in 40 min" in refusal.detail


def test_an_order_above_the_limit_by_itself_is_not_told_to_wait() -> None:
    [refusal] = judged([request(1, haleem=11)], Limits(open_orders=0, portions_per_hour=10)).values()
    assert "Order fewer portions." in refusal.detail
    assert "try again" not in refusal.detail
    assert refusal.headers["Retry-After"] == "3600"


def test_the_orders_of_a_day_are_bounded_whatever_became_of_them() -> None:
    usage = Usage(student_id=STUDENT, orders=ORDERS_PER_DAY - 1)
    refused = judged([request(1, haleem=1), request(2, haleem=1)], PORTIONS, usage)
    assert isinstance(refused.pop(2), OrdersPerDayReached)
    assert refused == {}
