"""`python -m cafeteria.rush.visitors`: students order from a running system as people do, one order each.

It reads `Instructions` from standard input and prints `Figures` once a second, as a line of JSON. A student who is told
to come again waits as long as the answer asks, sends the same order under the same key, and follows it on the event
stream. At the end each promised order is asked for: how many are lost is counted, never assumed.
"""

import asyncio
import random
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import ceil
from time import monotonic
from uuid import UUID, uuid4

import aiohttp
import msgspec

from cafeteria.contracts.gateway import Menu, OrderLine
from cafeteria.contracts.values import ENDED_STATUSES, OrderStatus
from cafeteria.faultkit.history import Exchange, History
from cafeteria.faultkit.student import FINAL_STATUSES, UNAUTHORIZED, Student, Urls
from cafeteria.local_stack.crowd_messages import Figures, Instructions
from cafeteria.local_stack.tasks import ended, running

WAIT_S = 300.0
"""For orders to end, once all are placed; where people cook, they may take for ever."""

PAUSE_S = (1.0, 2.0)
"""Between two attempts of a student to whom no answer said how long to wait."""

SPREAD_S = 0.5
"""So that students who were told the same time do not come back together."""

SILENCE_S = 30.0
"""Without an event for so long a student asks for the order; with one, asking would only be load."""

ASK_S = 30.0
"""For the answers about all promised orders at the end; without them nobody knows how many are lost."""

LOOK_S, REPORT_S = 0.5, 1.0
OK, NOT_FOUND = 200, 404
_OVER = ENDED_STATUSES | {OrderStatus.READY}
_WITH_ORDER = frozenset({OK, 201, 202})
_REFUSALS = (FINAL_STATUSES | {UNAUTHORIZED}) - _WITH_ORDER
_MENU = msgspec.json.Decoder(Menu)


class Visitor:
    """One student with one order, and what the system has told about it."""

    def __init__(self, student_id: str, token: str, *, http: aiohttp.ClientSession, urls: Urls) -> None:
        self._history = History()
        self._chance = random.Random()  # noqa: S311 - not a secret
        self._student = Student(
            student_id,
            http=http,
            urls=urls,
            history=self._history,
            chance=self._chance,
            began_at=monotonic(),
            token=token,
            pause_s=PAUSE_S,
        )
        self._shown: list[tuple[int, OrderStatus]] = []
        self.is_placed = False
        self.busy = 0
        """How many attempts got no answer, or one that said to come again."""
        self.answered_after_s: float | None = None
        """From the first attempt to the first other answer."""
        self.order_id: UUID | None = None
        """The order that was promised."""
        self._was_refused = False

    async def order(self, dishes: Sequence[UUID], *, within_s: float) -> None:
        """Order one portion of a dish at some time within `within_s`; return once the order has ended."""
        await asyncio.sleep(self._chance.uniform(0, within_s))
        lines = (OrderLine(item_id=self._chance.choice(dishes), quantity=1),)
        async with running(self._student.follow(client=1)):
            await self._place(lines)
            await self._wait_for_the_end()

    @property
    def status(self) -> OrderStatus | None:
        """The newest status that an answer or an event has shown."""
        events = (each for each in self._history.observed_statuses if each.order_id == self.order_id)
        shown = [*self._shown, *((each.version, each.status) for each in events)]
        return max(shown)[1] if shown else None

    @property
    def is_refused(self) -> bool:
        return self._was_refused or self.status is OrderStatus.REJECTED

    async def is_lost(self) -> bool:
        """Ask for the promised order until there is an answer."""
        was_accepted = self.status not in {OrderStatus.PENDING, OrderStatus.REJECTED}
        while True:
            answer = await self._ask()
            if answer.status == NOT_FOUND:
                return True
            if answer.status == OK:
                return was_accepted and answer.shown().status is OrderStatus.REJECTED
            await asyncio.sleep(self._pause_s(answer))

    async def _place(self, lines: tuple[OrderLine, ...]) -> None:
        key = str(uuid4())
        self.is_placed, began_at = True, monotonic()
        answer = await self._student.order_once(lines, key=key)
        while answer.order_id is None and answer.status not in _REFUSALS:
            self.busy += 1
            await asyncio.sleep(self._pause_s(answer))
            answer = await self._student.order_once(lines, key=key)
        self.answered_after_s = monotonic() - began_at
        self.order_id, self._was_refused = answer.order_id, answer.order_id is None
        self._learn(answer)

    async def _wait_for_the_end(self) -> None:
        asked_at, known = monotonic(), self.status
        while not self.is_refused and known not in _OVER:
            await asyncio.sleep(LOOK_S)
            if self.status != known:
                asked_at, known = monotonic(), self.status
            elif monotonic() - asked_at > SILENCE_S:
                asked_at = monotonic()
                await self._ask()

    async def _ask(self) -> Exchange:
        assert self.order_id  # noqa: S101 - only a promised order is asked for
        answer = await self._student.read(self.order_id)
        self._learn(answer)
        return answer

    def _learn(self, answer: Exchange) -> None:
        if answer.status in _WITH_ORDER:
            order = answer.shown()
            self._shown.append((order.version, order.status))

    def _pause_s(self, answer: Exchange) -> float:
        if answer.retry_after_s is None:
            return self._chance.uniform(*PAUSE_S)
        return answer.retry_after_s + self._chance.uniform(0, SPREAD_S)


def figures_of(visitors: Iterable[Visitor]) -> Figures:
    """Add up what the visitors know; `lost` stays null."""
    figures, waited_ms = Figures(), []
    for each in visitors:
        status = each.status
        figures.placed += each.is_placed
        figures.refused += each.is_refused
        figures.received += status is OrderStatus.PENDING
        figures.accepted += status not in {None, OrderStatus.PENDING, OrderStatus.REJECTED}
        figures.ready += status in {OrderStatus.READY, OrderStatus.COLLECTED}
        figures.busy += each.busy
        if each.answered_after_s is not None:
            waited_ms.append(each.answered_after_s * 1000)
    figures.p50_ms, figures.p95_ms = percentile(waited_ms, 0.5), percentile(waited_ms, 0.95)
    return figures


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that is not below `share` of all; None without values."""
    ordered = sorted(values)
    return round(ordered[max(ceil(share * len(ordered)), 1) - 1], 1) if ordered else None


async def count_lost(visitors: Iterable[Visitor]) -> int | None:
    """How many promised orders do not exist, or were refused after all; None if not all could be asked for."""
    promised = [each for each in visitors if each.order_id]
    with suppress(TimeoutError):
        async with asyncio.timeout(ASK_S):
            return sum(await asyncio.gather(*(each.is_lost() for each in promised)))
    return None


async def crowd(instructions: Instructions) -> None:
    """Let all students order until every order has ended, or SIGTERM; then print how many orders are lost."""
    urls = Urls(
        identity="",  # nobody logs in
        gateways=instructions.gateways,
        notifications=instructions.notifications,
    )
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        visitors = [Visitor(*each, http=http, urls=urls) for each in instructions.tokens.items()]
        ordering = asyncio.create_task(_order(visitors, instructions, http))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ordering.cancel)
        async with running(_report(visitors)):
            await asyncio.wait({ordering}, timeout=instructions.within_s + WAIT_S)
            await ended(ordering)
            lost = await count_lost(visitors)
        _print(msgspec.structs.replace(figures_of(visitors), lost=lost))
    if not ordering.cancelled():
        ordering.result()


async def _order(
    visitors: Iterable[Visitor], instructions: Instructions, http: aiohttp.ClientSession
) -> None:
    dishes = await _dishes(instructions, http)
    async with asyncio.TaskGroup() as group:
        for each in visitors:
            group.create_task(each.order(dishes, within_s=instructions.within_s))


async def _dishes(instructions: Instructions, http: aiohttp.ClientSession) -> list[UUID]:
    """What there is to order: all that is left, or the dish of which the least is left. Waits for a menu."""
    while True:
        with suppress(aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
            async with http.get(f"{instructions.gateways[0]}/v1/menu") as response:
                items = _MENU.decode(await response.read()).items
                left = [item for item in items if item.available != 0] or list(items)
                hot = sorted(left, key=lambda item: item.available or sys.maxsize)[:1]
                return [item.item_id for item in (hot if instructions.hot else left)]
        await asyncio.sleep(PAUSE_S[0])


async def _report(visitors: Sequence[Visitor]) -> None:
    while True:
        _print(figures_of(visitors))
        await asyncio.sleep(REPORT_S)


def _print(figures: Figures) -> None:
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(crowd(msgspec.json.decode(sys.stdin.buffer.read(), type=Instructions)))
