"""Announcements are published soon, and many of them cost little more than one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from cafeteria.chassis.auth.revoked_sessions import RevokedSessions
from cafeteria.chassis.auth.tokens import LEEWAY_S
from cafeteria.chassis.database.database import Database
from cafeteria.chassis.jobs import JobRunner
from cafeteria.chassis.messaging import Bus, NoAnswer
from cafeteria.contracts.identity import Revocation, SessionsRevoked
from cafeteria.identity import revocations as module
from cafeteria.identity.domain import ACCESS_TOKEN_MARGIN
from cafeteria.identity.repository import sessions
from cafeteria.identity.revocations import PAGE, Revocations

LIVE = tuple(
    Revocation(session=UUID(int=number), until=datetime(2126, 3, 1, tzinfo=UTC)) for number in range(PAGE + 1)
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        self.now_s += delay_s


class Bed:
    """A database whose pages take `takes_s` each, and a bus that keeps what is published."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.takes_s = 0.05
        self.is_without_bus = False
        self.published: list[SessionsRevoked] = []

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[None]:
        yield

    async def publish(self, _: object, body: SessionsRevoked) -> None:
        if self.is_without_bus:
            raise NoAnswer("the bus")
        self.published.append(body)

    async def read(self, _: object, *, after: Revocation | None, limit: int, **__: object) -> Any:
        self.clock.now_s += self.takes_s
        first = 0 if after is None else LIVE.index(after) + 1
        return LIVE[first : first + limit]


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    clock = Clock()
    bed = Bed(clock)
    monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(module, "sleep", clock.sleep)
    monkeypatch.setattr(sessions, "read_revocations", bed.read)
    return bed


@pytest.fixture
def revocations(bed: Bed) -> Revocations:
    return Revocations(cast("Database", bed), cast("Bus", bed), RevokedSessions())


async def test_all_live_revocations_are_published_page_by_page(revocations: Revocations, bed: Bed) -> None:
    await revocations.publish()
    assert [len(message.revocations) for message in bed.published] == [PAGE, 1]
    assert bed.clock.slept_s == [0]


async def test_a_publication_rests_after_a_long_one_but_not_before_the_next_second(
    revocations: Revocations, bed: Bed
) -> None:
    await revocations.publish()
    await revocations.publish()
    assert bed.clock.slept_s == [0, pytest.approx(0.4)]
    bed.takes_s = 10
    await revocations.publish()
    await revocations.publish()
    assert bed.clock.slept_s[2:] == [pytest.approx(0.4), pytest.approx(module.MAX_REST_S)]
    bed.clock.now_s += 1
    await revocations.publish()
    assert bed.clock.slept_s[-1] == 0


async def test_without_the_bus_identity_itself_refuses_all_ended_sessions(bed: Bed) -> None:
    revoked = RevokedSessions()
    bed.is_without_bus = True
    with pytest.raises(NoAnswer):
        await Revocations(cast("Database", bed), cast("Bus", bed), revoked).publish()
    assert all(each.session in revoked for each in LIVE)


async def test_an_announcement_starts_the_job(revocations: Revocations) -> None:
    ran = asyncio.Semaphore(0)

    async def run() -> None:
        ran.release()

    async with JobRunner("publish-revocations", 3600, run, wake=revocations.wake):
        await ran.acquire()
        revocations.announce()
        async with asyncio.timeout(5):
            await ran.acquire()


def test_a_revocation_outlives_the_access_tokens_on_clocks_that_differ() -> None:
    assert ACCESS_TOKEN_MARGIN.total_seconds() >= 2 * LEEWAY_S
