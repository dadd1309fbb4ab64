"""Follow events: a stream shows its replay window of logged statuses, then each new one, without gap or repeat."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from uuid import UUID

from cafeteria.chassis.database.database import (
    Database,
)
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.identity import Revocation
from cafeteria.notification.domain import ReplayWindow, Viewer, place_from
from cafeteria.notification.repository import follow_events, log
from cafeteria.notification.sse_events import Event, event_of
from cafeteria.notification.sse_hub import EventStream, SseHub, Write
from cafeteria.notification.student_streams import StudentStreams

PAGE_LIMIT = 100  # rows of the log that each opening stream has in memory: about 50 KiB


class FollowEvents:
    """Opens event streams. A caller takes a place, opens a window, reads its first page, opens a stream, and calls `follow`."""

    def __init__(self, database: Database, hub: SseHub, student_streams: StudentStreams) -> None:
        self._database = database
        self._hub = hub
        self._student_streams = student_streams

    def place(self, viewer: Viewer) -> AbstractContextManager[None]:
        """Count one open stream of the student during the block, which makes all calls for it. Raises StreamsReached."""
        return self._student_streams.place(viewer.student_id)

    async def open_window(self, viewer: Viewer, *, last_event_id: str | None) -> ReplayWindow:
        """Return the window after an event id; an id that this log never assigned counts as none.

        Raises DatabaseUnavailable.
        """
        newest, seen = self._hub.pushed, place_from(last_event_id)
        if newest is None or seen is not None:
            async with self._turn(viewer), self._database.statement() as connection:
                if seen is not None and await follow_events.read_place(connection, seen.position) != seen:
                    seen = None
                if newest is None:
                    newest = (await log.read_counter(connection)).position
        return ReplayWindow.open(viewer, seen=seen, newest=newest, now=now())

    async def read_page(self, window: ReplayWindow) -> list[Event]:
        """Return the window's next page and advance the window; after the last page `is_read` is True.

        Raises DatabaseUnavailable.
        """
        if window.is_read:
            return []
        async with self._turn(window.viewer), self._database.statement() as connection:
            rows = await follow_events.read_window(connection, window, limit=PAGE_LIMIT)
            window.advance(rows[-1].position if len(rows) == PAGE_LIMIT else window.upto)
            if window.is_read:
                window.end = await follow_events.read_place(connection, window.upto)
        return [event_of(row) for row in rows]

    def open_stream(
        self,
        viewer: Viewer,
        *,
        session: UUID,
        expires_at: datetime,
        write: Write,
        abort: Callable[[], None],
        shows_canteen: bool,
    ) -> EventStream:
        """Return a stream that shows nothing yet, and ends with `session`; its caller abandons it at last.

        `abort` closes its connection without waiting for the client.
        """
        return EventStream(
            self._hub,
            viewer,
            session=session,
            expires_at=expires_at,
            write=write,
            abort=abort,
            shows_canteen=shows_canteen,
        )

    def end_sessions(self, revocations: Iterable[Revocation]) -> None:
        """Close the streams of sessions that have ended: their clients connect again, and are refused."""
        self._hub.end_sessions(each.session for each in revocations)

    async def follow(self, stream: EventStream, window: ReplayWindow, page: list[Event]) -> None:
        """Show the window, whose first page is `page`, and let the stream go live.

        The stream is added to the hub between two reads of the window, so that no status is missed or shown twice.
        """
        try:
            page = await self._show_to_last_page(stream, window, page)
            self._hub.add(stream, after=window.upto)
            window.extend(stream.last_position)
            page = await self._show_to_last_page(stream, window, page)
            await stream.replay(page, tail=_id_block(window, page))
        except DatabaseUnavailable:
            stream.close("unavailable")
        finally:
            stream.go_live()

    async def keep_alive(self) -> None:
        """End the streams whose tokens have expired, and send heartbeats to some of the others."""
        await self._hub.tick(now=now())

    def _turn(self, viewer: Viewer) -> AbstractAsyncContextManager[None]:
        return self._student_streams.turn(viewer.student_id)

    async def _show_to_last_page(
        self, stream: EventStream, window: ReplayWindow, page: list[Event]
    ) -> list[Event]:
        while not window.is_read and stream.closed_for is None:
            await stream.replay(page)
            page = await self.read_page(window)
        return page


def _id_block(window: ReplayWindow, page: list[Event]) -> bytes:
    """Return a block with the id of the window's end; nothing if the last event of the page has that id."""
    if window.end is None or (page and page[-1].position == window.upto):
        return b""
    return b"id: %b\n\n" % window.end.event_id
