"""What goes wrong besides a commit, a message or a step: kills, wipes, replays, time-outs, and time that passes."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from cafeteria.contracts.bus import GATEWAY, GATEWAY_STATUS, KITCHEN_STATUS, WORK_PLACED
from cafeteria.rush.model.bus import Bus
from cafeteria.rush.model.outbox import Outbox
from cafeteria.rush.model.scheduler import Replica, Scheduler

MINUTE = timedelta(seconds=61)
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1, 8


class Troubles:
    """`strike` lets one happen that `roll`, drawn below `worst`, stands for."""

    __slots__ = ("bus", "outboxes", "scheduler", "services", "threats", "worst")

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        services: Sequence[Sequence[Replica]],
        bus: Bus,
        outboxes: Sequence[Outbox],
    ) -> None:
        self.scheduler = scheduler
        self.services = services
        self.bus = bus
        self.outboxes = outboxes
        self.threats = self._what_goes_wrong()
        self.worst = self.threats[-1][0]

    def _what_goes_wrong(self) -> list[tuple[float, Callable[[], None]]]:
        """Each kind with the sum of the rates up to and with its own."""
        weather = self.scheduler.weather
        rates = (
            (weather.crash, self._kill_someone),
            (weather.wipe, self.wipe),
            (weather.replay, self._replay),
            (weather.timed_out, self._time_out),
            (weather.pause, self.pause),
            (weather.long_pause, self.pause_long),
            (weather.lock_lost, self._lose_lock),
            (weather.unreadable, self._write_unreadable),
        )
        total = 0.0
        return [(total := total + rate, threat) for rate, threat in rates]

    def strike(self, roll: float) -> None:
        next(threat for limit, threat in self.threats if roll < limit)()

    def _kill_someone(self) -> None:
        self.scheduler.kill(self.scheduler.one_of(self.scheduler.one_of(self.services)))

    def wipe(self) -> None:
        self.scheduler.tell(None, "the bus loses a stream")
        self.scheduler.one_of(self.bus.streams).wipe()

    def _replay(self) -> None:
        self.scheduler.tell(None, "a consumer is reset: its history comes again")
        self.scheduler.one_of(self.bus.durables).replay()

    def _time_out(self) -> None:
        if self.scheduler.waiting:
            self.scheduler.time_out(self.scheduler.one_of(tuple(self.scheduler.waiting)))

    def pause(self) -> None:
        seconds = SHORTEST_PAUSE_S + int(self.scheduler.dice() * (LONGEST_PAUSE_S - SHORTEST_PAUSE_S))
        self.scheduler.tell(None, "{} s pass", seconds)
        self.scheduler.now += timedelta(seconds=seconds)

    def pause_long(self) -> None:
        self.scheduler.tell(None, "a minute passes")
        self.scheduler.now += MINUTE

    def _lose_lock(self) -> None:
        self.scheduler.tell(None, "a relay's lock is free while it carries")
        self.scheduler.one_of(self.outboxes).holder = None

    def _write_unreadable(self) -> None:
        self.scheduler.tell(None, "a row that nobody can read lies in an outbox")
        outbox = self.scheduler.one_of(self.outboxes)
        topics = (GATEWAY_STATUS, WORK_PLACED) if outbox.schema == GATEWAY else (KITCHEN_STATUS,)
        outbox.add_unreadable(self.scheduler.one_of(topics))
