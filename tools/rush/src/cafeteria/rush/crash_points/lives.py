"""What happens to one order while its messages are counted. Each life has deeds before the count and within it."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID, uuid5

import msgspec

from cafeteria.contracts.gateway import Order, OrderLine
from cafeteria.rush.crash_points.settled import come_to_rest
from cafeteria.rush.crash_points.stage import Stage
from cafeteria.rush.crash_points.waiting import true_within
from cafeteria.rush.history import Exchange
from cafeteria.rush.student import Student

ANSWER_WITHIN_S = 60.0
NO_DISHES = UUID(int=0)
"""Names a space of ids that no dish has."""

_FULLEST_DISH = "SELECT item_id FROM stock.inventory ORDER BY quantity DESC, item_id LIMIT 1"
_IS_QUEUED = "SELECT EXISTS (SELECT FROM kitchen.kitchen_orders WHERE order_id = $1 AND status = 'QUEUED')"
_FORGET_CHECKS = """
WITH unchecked AS (
    UPDATE gateway.orders SET next_check_at = now(), kitchen_seen_at = NULL, notified_version = 0
    WHERE id = ANY($1)
)
UPDATE kitchen.kitchen_orders SET confirm_at = now(), gateway_version = 0, notified_version = 0
WHERE order_id = ANY($1)"""
_IS_CHECKED = """
SELECT NOT EXISTS (SELECT FROM gateway.orders WHERE id = ANY($1) AND next_check_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM kitchen.kitchen_orders WHERE order_id = ANY($1) AND confirm_at IS NOT NULL)"""


class LifeFailedError(Exception):
    """It did not come to the end that it always comes to."""


class Life(Protocol):
    """Made for one student, who has never ordered. Both methods raise TimeoutError or LifeFailedError."""

    kitchen_mode: str

    async def begin(self) -> None:
        """Before the count."""

    async def live(self) -> None:
        """Within it, until the student has the last answer."""


class Ordering:
    """From the request to READY."""

    kitchen_mode = "auto"

    def __init__(self, stage: Stage, student: Student) -> None:
        self._stage = stage
        self._student = student

    async def begin(self) -> None:
        """Nothing comes before."""

    async def live(self) -> None:
        await _order(self._stage, self._student)


class Refusing:
    """Ordered is what stock does not have at all, so it decides against the order."""

    kitchen_mode = "auto"

    def __init__(self, _: Stage, student: Student) -> None:
        self._student = student

    async def begin(self) -> None:
        """Nothing comes before."""

    async def live(self) -> None:
        dish = uuid5(NO_DISHES, self._student.student_id)
        _require(await _order_of(self._student, dish), status=409)


class Cancelling:
    """An order that waits in the kitchen is cancelled, and its portions come back."""

    kitchen_mode = "manual"

    def __init__(self, stage: Stage, student: Student) -> None:
        self._stage = stage
        self._student = student
        self._order_id = UUID(int=0)

    async def begin(self) -> None:
        self._order_id = await _order(self._stage, self._student)
        if not await true_within(ANSWER_WITHIN_S, self._is_queued):
            raise LifeFailedError("the order never came to the kitchen")

    async def live(self) -> None:
        _require(await self._student.cancel(self._order_id, deadline_s=ANSWER_WITHIN_S), status=200)

    async def _is_queued(self) -> bool:
        return bool(await self._stage.database.fetchval(_IS_QUEUED, self._order_id))


class Checking:
    """The loops that ask end to end whether an order's news have arrived, which they do when it is five seconds old."""

    kitchen_mode = "auto"

    def __init__(self, stage: Stage, student: Student) -> None:
        self._stage = stage
        self._student = student

        self._order_id = UUID(int=0)

    async def begin(self) -> None:
        self._order_id = await _order(self._stage, self._student)
        await come_to_rest(self._stage)

    async def live(self) -> None:
        await check_again(self._stage, [self._order_id])


LIVES: dict[str, Callable[[Stage, Student], Life]] = {
    "order": Ordering,
    "cancel": Cancelling,
    "refuse": Refusing,
    "check": Checking,
}


async def check_again(stage: Stage, order_ids: Sequence[UUID]) -> None:
    """What the loops have learned of these orders is forgotten, by the superuser's hand, and they learn it again.

    Raises LifeFailedError.
    """

    async def is_checked() -> bool:
        return bool(await stage.database.fetchval(_IS_CHECKED, order_ids))

    await stage.database.execute(_FORGET_CHECKS, order_ids)
    if not await true_within(ANSWER_WITHIN_S, is_checked):
        raise LifeFailedError("the loops did not come to know that the order has arrived everywhere")


async def _order(stage: Stage, student: Student) -> UUID:
    answer = await _order_of(student, await stage.database.fetchval(_FULLEST_DISH))
    _require(answer, status=201)
    return msgspec.json.decode(answer.body, type=Order).id


async def _order_of(student: Student, dish: UUID) -> Exchange:
    """The same key at every repeat; a student orders once."""
    return await student.order((OrderLine(item_id=dish, quantity=1),), key="only", deadline_s=ANSWER_WITHIN_S)


def _require(answer: Exchange, *, status: int) -> None:
    if answer.status != status:
        raise LifeFailedError(f"the {answer.wish} was answered {answer.status}: {answer.body[:200]!r}")
