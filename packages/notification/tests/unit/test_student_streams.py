"""One student's streams: so many places, one read of the log at a time, and no memory once all have ended."""

import asyncio
from contextlib import ExitStack

import pytest

from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.notification import student_streams
from cafeteria.notification.errors import StreamsReached
from cafeteria.notification.student_streams import READS_AT_ONCE, StudentStreams

STUDENT, OTHER = "210041101", "210041102"


class Reading:
    """A read of the log that lasts until `end`."""

    def __init__(self, streams: StudentStreams, student_id: str) -> None:
        self.has_begun = False
        self._end = asyncio.Event()
        self.task = asyncio.create_task(self._read(streams, student_id))

    async def _read(self, streams: StudentStreams, student_id: str) -> None:
        async with streams.turn(student_id):
            self.has_begun = True
            await self._end.wait()

    async def end(self) -> None:
        self._end.set()
        await self.task
        await run_tasks()


async def run_tasks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_stream_above_the_limit_is_refused_until_another_has_ended() -> None:
    streams = StudentStreams(limit=2)
    with ExitStack() as open_streams:
        first = open_streams.enter_context(ExitStack())
        first.enter_context(streams.place(STUDENT))
        open_streams.enter_context(streams.place(STUDENT))
        open_streams.enter_context(streams.place(OTHER))
        with pytest.raises(StreamsReached) as refused, streams.place(STUDENT):
            pass
        assert "2 event streams" in refused.value.detail
        first.close()
        open_streams.enter_context(streams.place(STUDENT))
    assert streams._students == {}


def test_a_limit_of_0_is_off() -> None:
    streams = StudentStreams(limit=0)
    with ExitStack() as open_streams:
        for _ in range(1500):
            open_streams.enter_context(streams.place(STUDENT))
        assert len(streams._students) == 1
    assert streams._students == {}


async def test_a_students_streams_read_one_after_another_and_others_do_not_wait_for_them() -> None:
    streams = StudentStreams(limit=0)
    with streams.place(STUDENT), streams.place(OTHER):
        mine = [Reading(streams, STUDENT) for _ in range(3)]
        other = Reading(streams, OTHER)
        await run_tasks()
        assert [each.has_begun for each in (*mine, other)] == [True, False, False, True]
        await other.end()
        await mine[0].end()
        assert [each.has_begun for each in mine] == [True, True, False]
        await mine[1].end()
        await mine[2].end()


async def test_few_of_all_students_read_at_a_time() -> None:
    streams = StudentStreams(limit=0)
    students = [str(number) for number in range(2 * READS_AT_ONCE)]
    with ExitStack() as open_streams:
        for student_id in students:
            open_streams.enter_context(streams.place(student_id))
        readings = [Reading(streams, student_id) for student_id in students]
        await run_tasks()
        assert sum(each.has_begun for each in readings) == READS_AT_ONCE
        for each in readings:
            await each.end()


async def test_who_waits_too_long_for_a_turn_is_told_that_the_log_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = StudentStreams(limit=0)
    with streams.place(STUDENT):
        slow = Reading(streams, STUDENT)
        await run_tasks()
        monkeypatch.setattr(student_streams, "ANSWER_WITHIN_S", 0.01)
        with pytest.raises(DatabaseUnavailable):
            async with streams.turn(STUDENT):
                pytest.fail("two streams of one student read at the same time")
        await slow.end()
        async with streams.turn(STUDENT):
            pass
