"""The limits of what one student may order: open orders, and portions of one item within an hour. Pure.

The requests of a batch are judged in order of arrival, each against what is stored and what the batch accepted
before it. A request whose key is in use is a repeat: it is never judged, and gets its order.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import ceil
from uuid import UUID

import msgspec

from cafeteria.chassis.runtime.errors import LimitReached
from cafeteria.contracts.values import Line
from cafeteria.gateway.domain import NewOrder, Placing
from cafeteria.gateway.errors import OpenOrdersReached, OrdersPerDayReached, PortionsReached

HOUR_S = 3600.0

USAGE_WINDOW = timedelta(days=1)
"""An older order is not read: one that the kitchen forgot must not keep its student from eating for ever."""

ORDERS_PER_DAY = 1_000
"""No student places as many. It bounds what is read: cancelled orders free their place, and are rows all the same."""

OPEN_RETRY_AFTER_S = 30
"""An order is cooked within seconds by default, and within minutes by people."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Of each student: how many open orders, and how many portions of one item within an hour. 0 is no limit."""

    open_orders: int
    portions_per_hour: int

    @property
    def are_on(self) -> bool:
        return bool(self.open_orders or self.portions_per_hour)


class RecentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order younger than an hour whose portions count: neither rejected nor cancelled."""

    age_s: float
    lines: tuple[Line, ...]


class Usage(msgspec.Struct, kw_only=True):
    """What one student has ordered within USAGE_WINDOW; an accepted order of the batch is added.

    `orders` are all, whatever became of them. An order is open until it is ready or has ended.
    """

    student_id: str
    orders: int = 0
    open_orders: int = 0
    recent: list[RecentOrder] = []

    def add(self, order: NewOrder) -> None:
        self.orders += 1
        self.open_orders += 1
        self.recent.append(RecentOrder(age_s=0.0, lines=order.lines))


class StoredUsages(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored about a batch: the keys in use among its own, and the students' usage, by student id."""

    used_keys: frozenset[str]
    usages: Mapping[str, Usage]


def refusals(placings: Sequence[Placing], stored: StoredUsages, limits: Limits) -> dict[UUID, LimitReached]:
    """Return the refusal of each request, by its order's id, that would exceed a limit of its student."""
    used_keys, usages = set(stored.used_keys), dict(stored.usages)
    refused: dict[UUID, LimitReached] = {}
    for placing in placings:
        if placing.key in used_keys:
            continue
        order = placing.order
        usage = usages.setdefault(order.student_id, Usage(student_id=order.student_id))
        if refusal := _refusal(order, usage, limits):
            refused[order.id] = refusal
        else:
            used_keys.add(placing.key)
            usage.add(order)
    return refused


def _refusal(order: NewOrder, usage: Usage, limits: Limits) -> LimitReached | None:
    if usage.orders >= ORDERS_PER_DAY:
        return OrdersPerDayReached(limit=ORDERS_PER_DAY, retry_after_s=int(HOUR_S))
    if limits.open_orders and usage.open_orders >= limits.open_orders:
        return OpenOrdersReached(limit=limits.open_orders, retry_after_s=OPEN_RETRY_AFTER_S)
    if limits.portions_per_hour:
        return _refusal_of_portions(order, usage, limits.portions_per_hour)
    return None


def _refusal_of_portions(order: NewOrder, usage: Usage, limit: int) -> PortionsReached | None:
    waits = {line.item_id: _wait_s(line, usage, limit) for line in order.lines}
    items = tuple(item_id for item_id, wait_s in waits.items() if wait_s)
    if not items:
        return None
    return PortionsReached(
        limit=limit,
        item_ids=items,
        retry_after_s=ceil(max(waits.values())),
        fits_later=all(line.quantity <= limit for line in order.lines),
    )


def _wait_s(line: Line, usage: Usage, limit: int) -> float:
    """Return the seconds until enough earlier portions are an hour old that this line fits; 0 if it fits now.

    A line above the limit never fits: it waits the whole hour.
    """
    earlier = [
        (order.age_s, each.quantity)
        for order in usage.recent
        for each in order.lines
        if each.item_id == line.item_id
    ]
    excess = sum(quantity for _, quantity in earlier) + line.quantity - limit
    wait_s = 0.0
    for age_s, quantity in sorted(earlier, reverse=True):
        if excess <= 0:
            break
        excess -= quantity
        wait_s = HOUR_S - age_s
    return HOUR_S if excess > 0 else wait_s
