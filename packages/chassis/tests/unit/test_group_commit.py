"""Group commit: items keep their order, share commits without waiting, and each gets its own outcome."""

import asyncio

import pytest

from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.runtime.errors import Overloaded, Unavailable


class Ledger:
    """Commits numbers; a negative one is a bad row. `gate` holds a commit open; the next `losses` commits raise."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.attempts = 0
        self.losses = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def commit(self, items: list[int]) -> list[str]:
        self.attempts += 1
        self.entered.set()
        await self.gate.wait()
        if self.losses:
            self.losses -= 1
            raise DatabaseUnavailable
        if any(item < 0 for item in items):
            raise ValueError(f"bad row in {items}")
        self.batches.append(list(items))
        return [f"done {item}" for item in items]


async def test_an_item_alone_is_committed_at_once_and_gets_its_own_outcome() -> None:
    ledger = Ledger()
    async with GroupCommit("numbers", ledger.commit) as group:
        assert await group.submit(7) == "done 7"
    assert ledger.batches == [[7]]


async def test_items_that_arrive_during_a_commit_form_the_next_batch_in_order() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    async with GroupCommit("numbers", ledger.commit) as group:
        first = group.enqueue(0)
        await ledger.entered.wait()
        rest = [group.enqueue(number) for number in range(1, 6)]
        assert group.pending == 6
        ledger.gate.set()
        assert await first == "done 0"
        assert await asyncio.gather(*rest) == [f"done {number}" for number in range(1, 6)]
    assert ledger.batches == [[0], [1, 2, 3, 4, 5]]
    assert group.pending == 0


async def test_a_batch_holds_no_more_than_its_limit_and_the_order_is_kept() -> None:
    ledger = Ledger()
    async with GroupCommit("numbers", ledger.commit, batch_limit=4) as group:
        await asyncio.gather(*(group.submit(number) for number in range(10)))
    assert ledger.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_one_bad_item_fails_alone_and_its_neighbours_are_committed() -> None:
    ledger = Ledger()
    async with GroupCommit("numbers", ledger.commit) as group:
        outcomes = await asyncio.gather(*map(group.submit, [1, 2, -3, 4, 5]), return_exceptions=True)
    assert isinstance(outcomes.pop(2), ValueError)
    assert outcomes == ["done 1", "done 2", "done 4", "done 5"]
    assert sorted(number for batch in ledger.batches for number in batch) == [1, 2, 4, 5]


async def test_a_commit_that_omits_an_outcome_fails_its_items_and_not_the_batcher() -> None:
    async def forget_the_last(items: list[int]) -> list[int]:
        return items[:-1]

    async with GroupCommit("numbers", forget_the_last) as group:
        outcomes = await asyncio.gather(*map(group.submit, [1, 2]), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RuntimeError, RuntimeError]
        with pytest.raises(RuntimeError, match="0 outcomes for 1 items"):
            await group.submit(3)


async def test_two_bad_items_at_the_ends_fail_alone() -> None:
    ledger = Ledger()
    async with GroupCommit("numbers", ledger.commit) as group:
        outcomes = await asyncio.gather(*map(group.submit, [-1, 2, 3, -4]), return_exceptions=True)
    assert [isinstance(outcome, ValueError) for outcome in outcomes] == [True, False, False, True]


async def test_a_batch_that_lost_the_database_is_retried_once_as_a_whole() -> None:
    ledger = Ledger()
    ledger.losses = 1
    async with GroupCommit("numbers", ledger.commit) as group:
        assert await asyncio.gather(*map(group.submit, [1, 2, 3])) == ["done 1", "done 2", "done 3"]
    assert ledger.batches == [[1, 2, 3]]


async def test_without_the_database_every_item_fails_and_no_batch_is_split() -> None:
    ledger = Ledger()
    ledger.losses = 2
    async with GroupCommit("numbers", ledger.commit) as group:
        outcomes = await asyncio.gather(*map(group.submit, [1, 2, 3, 4]), return_exceptions=True)
        assert all(isinstance(outcome, DatabaseUnavailable) for outcome in outcomes)
        assert ledger.attempts == 2
        assert await group.submit(5) == "done 5"


async def test_a_waiting_item_whose_caller_is_cancelled_is_not_committed() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    async with GroupCommit("numbers", ledger.commit) as group:
        first = group.enqueue(1)
        await ledger.entered.wait()
        waiting = asyncio.create_task(group.submit(2))
        third = group.enqueue(3)
        await asyncio.sleep(0)
        waiting.cancel()
        ledger.gate.set()
        await asyncio.gather(first, third)
    assert ledger.batches == [[1], [3]]


async def test_a_caller_cancelled_during_the_commit_does_not_disturb_the_others() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    async with GroupCommit("numbers", ledger.commit) as group:
        cancelled, kept = asyncio.create_task(group.submit(1)), asyncio.create_task(group.submit(2))
        await ledger.entered.wait()
        cancelled.cancel()
        ledger.gate.set()
        assert await kept == "done 2"
    assert ledger.batches == [[1, 2]]
    assert cancelled.cancelled()


async def test_past_the_queue_limit_an_item_is_refused_at_once() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    async with GroupCommit("numbers", ledger.commit, queue_limit=2) as group:
        first = group.enqueue(1)
        await ledger.entered.wait()
        waiting = [group.enqueue(2), group.enqueue(3)]
        with pytest.raises(Overloaded):
            group.enqueue(4)
        ledger.gate.set()
        await asyncio.gather(first, *waiting)
    assert ledger.batches == [[1], [2, 3]]


async def test_items_that_are_enqueued_together_are_committed_in_one_batch() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    async with GroupCommit("numbers", ledger.commit, batch_limit=4) as group:
        first = group.enqueue(0)
        await ledger.entered.wait()
        waiting = [
            *group.enqueue_all([1, 2, 3]),
            *group.enqueue_all([4, 5]),
            group.enqueue(6),
            *group.enqueue_all(range(7, 13)),
        ]
        assert group.enqueue_all([]) == []
        ledger.gate.set()
        assert await asyncio.gather(first, *waiting) == [f"done {number}" for number in range(13)]
    assert ledger.batches == [[0], [1, 2, 3], [4, 5, 6], [7, 8, 9, 10, 11, 12]]


async def test_items_that_are_enqueued_together_are_all_accepted_or_all_refused() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    async with GroupCommit("numbers", ledger.commit, queue_limit=4) as group:
        first = group.enqueue(0)
        await ledger.entered.wait()
        waiting = group.enqueue_all([1, 2])
        with pytest.raises(Overloaded):
            group.enqueue_all([3, 4, 5])
        assert group.pending == 3
        waiting += group.enqueue_all([6, 7])
        ledger.gate.set()
        await asyncio.gather(first, *waiting)
    assert ledger.batches == [[0], [1, 2, 6, 7]]


async def test_a_bad_item_fails_alone_among_items_that_are_enqueued_together() -> None:
    ledger = Ledger()
    async with GroupCommit("numbers", ledger.commit) as group:
        outcomes = await asyncio.gather(*group.enqueue_all([1, -2, 3]), return_exceptions=True)
    assert isinstance(outcomes.pop(1), ValueError)
    assert outcomes == ["done 1", "done 3"]


async def test_closing_commits_the_accepted_items_and_refuses_new_ones() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    group = GroupCommit("numbers", ledger.commit, batch_limit=2)
    await group.__aenter__()
    accepted = [group.enqueue(number) for number in range(5)]
    await ledger.entered.wait()
    closing = asyncio.create_task(group.__aexit__(None, None, None))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        group.enqueue(5)
    ledger.gate.set()
    await closing
    assert await asyncio.gather(*accepted) == [f"done {number}" for number in range(5)]


async def test_the_running_time_of_a_commit_includes_its_first_try() -> None:
    seen: list[float] = []

    async def commit(items: list[int]) -> list[int]:
        await asyncio.sleep(0.02)
        seen.append(group.running_for_s)
        if len(seen) == 1:
            raise DatabaseUnavailable
        return items

    async with GroupCommit("tries", commit) as group:
        assert group.running_for_s == 0
        await group.submit(1)
    assert seen[1] > seen[0] + 0.015
    assert group.running_for_s == 0
