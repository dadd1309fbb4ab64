"""Publish the pace: once a second from Postgres, so that every replica says the same; and at once when the intake changed.

A kitchen at rest reads three empty ranges of an index and one row: with replicas and people, only Postgres knows that nothing waits.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import earliest_id
from cafeteria.contracts.kitchen import KitchenMode, Pace
from cafeteria.kitchen.clients import PacePublisher
from cafeteria.kitchen.newest_pace import NewestPace
from cafeteria.kitchen.repository import publish_pace
from cafeteria.kitchen.repository.publish_pace import Scene
from cafeteria.kitchen.settings import KitchenSettings
from cafeteria.kitchen.throughput import (
    RATE_WINDOW,
    Cooked,
    Look,
    Speed,
    speed_by_itself,
    speed_of_people,
)

READY_EVERY = timedelta(seconds=5)  # no ready time depends on this count, and it may be long
READY_COUNTS_FOR = timedelta(hours=24)  # as in the load
COOKED_FOR = timedelta(hours=1)  # an older ticket says little about the people who cook now
COOKED_LIMIT = 500  # tickets of the rate's window, at 250 a minute


class PublishPace:
    """Reads and publishes the pace. Setting `wake` publishes it at once."""

    def __init__(
        self, database: Database, publisher: PacePublisher, newest: NewestPace, settings: KitchenSettings
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._newest = newest
        self._settings = settings
        self._looks = deque[Look]()
        self._ready = 0
        self._ready_at = datetime.min.replace(tzinfo=UTC)
        self.wake = asyncio.Event()

    async def __call__(self) -> None:
        """Read and publish. Raises DatabaseUnavailable or NoAnswer: then the pace becomes unknown to its readers."""
        at, arrived = now(), self._newest.arrived  # before the read: a ticket that comes meanwhile is later
        scene, cooked = await self._read(at)
        self._look(Look(at=at, has_queue=scene.queued > 0))
        pace = self._pace_of(scene, self._speed(cooked), at=at)
        self._newest.replace(pace, arrived=arrived)
        await self._publisher.publish(pace)

    async def _read(self, at: datetime) -> tuple[Scene, tuple[Cooked, ...]]:
        async with self._database.statement() as connection:
            scene = await publish_pace.read_scene(
                connection,
                have_stations=self._settings.cooks_by_itself,
                ready_since=self._ready_since(at),
            )
            if self._settings.cooks_by_itself:
                cooked: tuple[Cooked, ...] = ()
            else:
                since = earliest_id(at - COOKED_FOR)
                cooked = tuple(await publish_pace.read_cooked(connection, since=since, limit=COOKED_LIMIT))
        if scene.ready is not None:
            self._ready, self._ready_at = scene.ready, at
        return scene, cooked

    def _ready_since(self, at: datetime) -> UUID | None:
        return earliest_id(at - READY_COUNTS_FOR) if at - self._ready_at >= READY_EVERY else None

    def _look(self, look: Look) -> None:
        self._looks.append(look)
        while look.at - self._looks[0].at > RATE_WINDOW:
            self._looks.popleft()

    def _speed(self, cooked: tuple[Cooked, ...]) -> Speed:
        settings = self._settings
        if not settings.cooks_by_itself:
            return speed_of_people(self._looks, cooked)
        return speed_by_itself(
            stations=settings.stations, prep_min_s=settings.prep_min_s, prep_max_s=settings.prep_max_s
        )

    def _pace_of(self, scene: Scene, speed: Speed, *, at: datetime) -> Pace:
        return Pace(
            at=at,
            is_open=scene.intake.is_open,
            reopens_at=scene.intake.reopens_at,
            delay_s=scene.intake.delay_s,
            mode=KitchenMode(self._settings.mode),
            queued=scene.queued,
            in_kitchen=scene.in_kitchen,
            ready=self._ready,
            stations=self._settings.counted_stations,
            per_min=speed.per_min,
            prep_p50_s=speed.prep_p50_s,
            prep_p90_s=speed.prep_p90_s,
            queue=scene.queue,
        )
