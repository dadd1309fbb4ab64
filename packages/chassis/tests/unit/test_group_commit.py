"""The promises of group commit: order, company without waiting, and each item's own fate."""

import asyncio

import pytest

from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.runtime.errors import Overloaded, Unavailable


class Ledger:
    """Commits numbers; negative ones are bad rows. `gate` holds a commit open, `losses` loses the database."""

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


async def test_what_arrives_during_a_commit_forms_the_next_one_in_order() -> None:
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


async def test_a_batch_holds_no_more_than_its_limit_and_nobody_is_overtaken() -> None:
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


async def test_a_commit_that_forgets_an_outcome_fails_its_items_and_not_the_lane() -> None:
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


async def test_a_batch_that_lost_the_database_is_tried_once_more_as_a_whole() -> None:
    ledger = Ledger()
    ledger.losses = 1
    async with GroupCommit("numbers", ledger.commit) as group:
        assert await asyncio.gather(*map(group.submit, [1, 2, 3])) == ["done 1", "done 2", "done 3"]
    assert ledger.batches == [[1, 2, 3]]


async def test_with_the_database_away_everyone_is_told_and_nothing_is_halved() -> None:
    ledger = Ledger()
    ledger.losses = 2
    async with GroupCommit("numbers", ledger.commit) as group:
        outcomes = await asyncio.gather(*map(group.submit, [1, 2, 3, 4]), return_exceptions=True)
        assert all(isinstance(outcome, DatabaseUnavailable) for outcome in outcomes)
        assert ledger.attempts == 2
        assert await group.submit(5) == "done 5"


async def test_an_item_whose_caller_left_while_it_waited_is_not_committed() -> None:
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


async def test_a_caller_that_leaves_during_the_commit_disturbs_nobody() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    async with GroupCommit("numbers", ledger.commit) as group:
        leaving, staying = asyncio.create_task(group.submit(1)), asyncio.create_task(group.submit(2))
        await ledger.entered.wait()
        leaving.cancel()
        ledger.gate.set()
        assert await staying == "done 2"
    assert ledger.batches == [[1, 2]]
    assert leaving.cancelled()


async def test_past_the_queue_limit_an_item_is_refused_before_anything_happens() -> None:
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


async def test_what_is_enqueued_together_is_committed_together_and_never_split() -> None:
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


async def test_what_is_enqueued_together_enters_the_queue_whole_or_not_at_all() -> None:
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


async def test_a_bad_item_fails_alone_among_those_that_were_enqueued_with_it() -> None:
    ledger = Ledger()
    async with GroupCommit("numbers", ledger.commit) as group:
        outcomes = await asyncio.gather(*group.enqueue_all([1, -2, 3]), return_exceptions=True)
    assert isinstance(outcomes.pop(1), ValueError)
    assert outcomes == ["done 1", "done 3"]


async def test_leaving_commits_what_was_accepted_and_takes_nothing_more() -> None:
    ledger = Ledger()
    ledger.gate.clear()
    group = GroupCommit("numbers", ledger.commit, batch_limit=2)
    await group.__aenter__()
    accepted = [group.enqueue(number) for number in range(5)]
    await ledger.entered.wait()
    leaving = asyncio.create_task(group.__aexit__(None, None, None))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        group.enqueue(5)
    ledger.gate.set()
    await leaving
    assert await asyncio.gather(*accepted) == [f"done {number}" for number in range(5)]


async def test_a_commit_has_taken_so_long_since_its_first_try() -> None:
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
