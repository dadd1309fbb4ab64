"""What the streams of one student may take of this process: so many places, and one read of the log at a time.

However many streams a student opens, other students' streams and the reader of the status events find connections to
the database. A student without a stream takes no memory.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from cafeteria.chassis.database.database import ANSWER_WITHIN_S
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.notification.errors import StreamsReached

READS_AT_ONCE = 4  # of the pool's eight connections: the reader, jobs and other requests share the rest


class _Student:
    __slots__ = ("reading", "streams")

    def __init__(self) -> None:
        self.streams = 0
        self.reading = asyncio.Lock()


class StudentStreams:
    """Counts the open streams of each student; `limit` is how many one may have, 0 being no limit."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._students: dict[str, _Student] = {}
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    @contextmanager
    def place(self, student_id: str) -> Iterator[None]:
        """Count one stream of the student as open during the block. Raises StreamsReached if it is one too many."""
        student = self._students.setdefault(student_id, _Student())
        if self._limit and student.streams >= self._limit:
            raise StreamsReached(limit=self._limit)
        student.streams += 1
        try:
            yield
        finally:
            student.streams -= 1
            if not student.streams:
                del self._students[student_id]

    @asynccontextmanager
    async def turn(self, student_id: str) -> AsyncIterator[None]:
        """Wait until no other stream of the student, and few of all, read the log; the caller has a place.

        Raises DatabaseUnavailable if waiting and the block together take longer than ANSWER_WITHIN_S.
        """
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), self._students[student_id].reading, self._reads:
                yield
        except TimeoutError as error:
            raise DatabaseUnavailable from error
