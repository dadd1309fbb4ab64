"""The scenarios: what happens to one order, alone or among others. Each has steps before its messages are counted and
steps during the count.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from uuid import UUID, uuid5

import msgspec

from cafeteria.contracts.gateway import Order, OrderLine
from cafeteria.crash_points.environment import Environment
from cafeteria.faultkit.history import Exchange
from cafeteria.faultkit.quiescence import until_carried
from cafeteria.faultkit.student import Student
from cafeteria.local_stack.polling import is_true_within

ANSWER_WITHIN_S = 60.0
TOGETHER = 16
"""Students besides the watched one: one whose commit is held, and those who order meanwhile."""
HELD_WITHIN_S = 20.0
"""If the gateway is killed meanwhile, the students send their requests again when it is back."""
NO_DISHES = UUID(int=0)
"""A namespace for ids that no dish has."""

_FULLEST_DISH = "SELECT item_id FROM stock.inventory ORDER BY quantity DESC, item_id LIMIT 1"
_IS_QUEUED = "SELECT EXISTS (SELECT FROM kitchen.kitchen_orders WHERE order_id = $1 AND status = 'QUEUED')"
_RESET_CHECKS = """
WITH unchecked AS (
    UPDATE gateway.orders SET next_check_at = now(), kitchen_seen_at = NULL, notified_version = 0
    WHERE id = ANY($1)
)
UPDATE kitchen.kitchen_orders SET confirm_at = now(), gateway_version = 0, notified_version = 0
WHERE order_id = ANY($1)"""
_IS_CHECKED = """
SELECT NOT EXISTS (SELECT FROM gateway.orders WHERE id = ANY($1) AND next_check_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM kitchen.kitchen_orders WHERE order_id = ANY($1) AND confirm_at IS NOT NULL)"""


class ScenarioFailedError(Exception):
    """A scenario did not reach its expected end."""


class Scenario(ABC):
    """A scenario for one student, who has never ordered. Both methods raise TimeoutError or ScenarioFailedError."""

    kitchen_mode = "auto"

    def __init__(self, environment: Environment, student: Student) -> None:
        self._environment = environment
        self._student = student

    async def begin(self) -> None:  # noqa: B027 - most scenarios have no steps before
        """Run the steps before the count."""

    @abstractmethod
    async def run(self) -> None:
        """Run the steps during the count, until the student has the last answer."""

    async def _order(self) -> UUID:
        """Order a portion of the dish that lasts longest, and return the order's id."""
        answer = await _order_of(self._student, await self._environment.database.fetchval(_FULLEST_DISH))
        _require(answer, status=201)
        return msgspec.json.decode(answer.body, type=Order).id


class Ordering(Scenario):
    """A student orders, and the order becomes READY."""

    async def run(self) -> None:
        await self._order()


class OrderingTogether(Scenario):
    """Many students order while an earlier commit is held, so that all later messages are about many orders."""

    async def begin(self) -> None:
        """Log the other students in, the first time."""
        await self._environment.other_students(TOGETHER)

    async def run(self) -> None:
        try:
            await self._live()
        except ExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _live(self) -> None:
        dish = await self._environment.database.fetchval(_FULLEST_DISH)
        first, *others = await self._environment.other_students(TOGETHER)
        async with asyncio.TaskGroup() as ordering, self._environment.receiving_held():
            ordering.create_task(self._order_together(first, dish))
            await is_true_within(HELD_WITHIN_S, self._environment.is_receiving_held)
            for student in (*others, self._student):
                ordering.create_task(self._order_together(student, dish))
            await is_true_within(HELD_WITHIN_S, self._have_all_arrived)

    async def _order_together(self, student: Student, dish: UUID) -> None:
        """Order under a key that is unique to this run of the scenario."""
        _require(await _order_of(student, dish, key=self._student.student_id), status=201)

    async def _have_all_arrived(self) -> bool:
        return await self._environment.orders_being_received() > TOGETHER


class Refusing(Scenario):
    """A student orders a dish that stock does not have, so stock rejects the order."""

    async def run(self) -> None:
        dish = uuid5(NO_DISHES, self._student.student_id)
        _require(await _order_of(self._student, dish), status=409)


class CancelAnOrder(Scenario):
    """A student cancels an order that is queued in the kitchen, and stock releases its portions."""

    kitchen_mode = "manual"

    async def begin(self) -> None:
        self._order_id = await self._order()
        if not await is_true_within(ANSWER_WITHIN_S, self._is_queued):
            raise ScenarioFailedError("the order never reached the kitchen")

    async def run(self) -> None:
        _require(await self._student.cancel(self._order_id, deadline_s=ANSWER_WITHIN_S), status=200)

    async def _is_queued(self) -> bool:
        return bool(await self._environment.database.fetchval(_IS_QUEUED, self._order_id))


class Checking(Scenario):
    """Reconcile delivery: gateway and kitchen check an order's delivery when it is five seconds old."""

    async def begin(self) -> None:
        self._order_id = await self._order()
        await until_carried(self._environment.bus, self._environment.database)

    async def run(self) -> None:
        await check_again(self._environment, [self._order_id])


SCENARIOS: dict[str, type[Scenario]] = {
    "order": Ordering,
    "cancel": CancelAnOrder,
    "refuse": Refusing,
    "check": Checking,
    "together": OrderingTogether,
}


async def check_again(environment: Environment, order_ids: Sequence[UUID]) -> None:
    """Reset the delivery state of these orders as superuser, and wait until reconciliation has confirmed it again.

    Raises ScenarioFailedError.
    """

    async def is_checked() -> bool:
        return bool(await environment.database.fetchval(_IS_CHECKED, order_ids))

    await environment.database.execute(_RESET_CHECKS, order_ids)
    if not await is_true_within(ANSWER_WITHIN_S, is_checked):
        raise ScenarioFailedError("reconciliation did not confirm that the order has arrived everywhere")


async def _order_of(student: Student, dish: UUID, *, key: str = "only") -> Exchange:
    """Order under the same key at every repeat; the watched student orders once."""
    return await student.order((OrderLine(item_id=dish, quantity=1),), key=key, deadline_s=ANSWER_WITHIN_S)


def _require(answer: Exchange, *, status: int) -> None:
    if answer.status != status:
        raise ScenarioFailedError(f"the {answer.intent} was answered {answer.status}: {answer.body[:200]!r}")
