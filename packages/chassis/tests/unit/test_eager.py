"""A coroutine that is started eagerly behaves like one in a task, but has no task before it waits."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from cafeteria.chassis.runtime import eager

Test = Callable[[], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    """Run a test on the loop of the standard library, and on the one that the services have."""

    def run(test: Test) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(test())  # type: ignore[arg-type]  # each test is a coroutine function

    return run


class Steps:
    """A coroutine that notes how far it gets, while it waits for two futures in turn."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[str] = loop.create_future()
        self.second: asyncio.Future[str] = loop.create_future()
        self.seen: list[str] = []

    async def __call__(self) -> None:
        try:
            self.seen.append("started")
            self.seen.append(await self.first)
            self.seen.append(await self.second)
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        finally:
            self.seen.append("ended")


def test_what_does_not_wait_ends_at_once_without_a_task(run: Callable[[Test], None]) -> None:
    async def test() -> None:
        steps = Steps()
        steps.first.set_result("one")
        steps.second.set_result("two")
        before = asyncio.all_tasks()
        assert eager.start(steps()) is None
        assert steps.seen == ["started", "one", "two", "ended"]
        assert asyncio.all_tasks() == before

    run(test)


def test_what_waits_continues_in_a_task(run: Callable[[Test], None]) -> None:
    async def test() -> None:
        steps = Steps()
        task = eager.start(steps())
        assert task is not None
        assert steps.seen == ["started"]
        steps.first.set_result("one")
        await asyncio.sleep(0)
        steps.second.set_result("two")
        await asyncio.wait_for(task, 5)
        assert steps.seen == ["started", "one", "two", "ended"]

    run(test)


def test_an_exception_is_raised_at_once_before_the_first_wait_and_by_the_task_after_it(
    run: Callable[[Test], None],
) -> None:
    async def fail(wait_s: float | None) -> None:
        if wait_s is not None:
            await asyncio.sleep(wait_s)
        raise ConnectionResetError

    async def test() -> None:
        with pytest.raises(ConnectionResetError):
            eager.start(fail(None))
        for wait_s in (0, 0.001):
            task = eager.start(fail(wait_s))
            assert task is not None
            with pytest.raises(ConnectionResetError):
                await task

    run(test)


@pytest.mark.parametrize("steps_before", [0, 1, 2, 5])
def test_a_cancellation_reaches_the_coroutine_before_and_after_the_first_step_of_its_task(
    run: Callable[[Test], None], steps_before: int
) -> None:
    async def test() -> None:
        steps = Steps()
        task = eager.start(steps())
        assert task is not None
        for _ in range(steps_before):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert steps.first.cancelled()
        assert steps.seen == ["started", "cancelled", "ended"]

    run(test)


def test_a_cancellation_is_not_lost_when_the_wait_is_over_before_the_first_step(
    run: Callable[[Test], None],
) -> None:
    async def test() -> None:
        steps = Steps()
        task = eager.start(steps())
        assert task is not None
        steps.first.set_result("one")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert steps.seen == ["started", "cancelled", "ended"]

    run(test)


def test_a_coroutine_may_outlast_its_cancellation(run: Callable[[Test], None]) -> None:
    async def outlast(steps: Steps) -> None:
        try:
            await steps.first
        except asyncio.CancelledError:
            steps.seen.append(await steps.second)

    async def test() -> None:
        steps = Steps()
        task = eager.start(outlast(steps))
        assert task is not None
        task.cancel()
        asyncio.get_running_loop().call_soon(steps.second.set_result, "two")
        await asyncio.wait_for(task, 5)
        assert steps.seen == ["two"]

    run(test)
