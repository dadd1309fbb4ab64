"""The fault injector: kills, wipes, replays, time-outs, pauses, lost locks and unreadable rows."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from cafeteria.contracts.subjects import GATEWAY, GATEWAY_STATUS, KITCHEN_STATUS, WORK_PLACED
from cafeteria.protocol_model.bus import Bus
from cafeteria.protocol_model.outbox import Outbox
from cafeteria.protocol_model.scheduler import Replica, Scheduler

MINUTE = timedelta(seconds=61)
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1, 8


class FaultInjector:
    """Injects faults: `injection` runs the one that the number `roll`, drawn below `worst`, selects."""

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
        self.threats = self._cumulative_rates()
        self.worst = self.threats[-1][0]

    def _cumulative_rates(self) -> list[tuple[float, Callable[[], None]]]:
        """Return each kind with the sum of the rates up to and including its own."""
        fault_rates = self.scheduler.fault_rates
        rates = (
            (fault_rates.crash, self._kill_replica),
            (fault_rates.wipe, self.wipe),
            (fault_rates.replay, self._replay),
            (fault_rates.timed_out, self._time_out),
            (fault_rates.pause, self.pause),
            (fault_rates.long_pause, self.pause_long),
            (fault_rates.lease_lost, self._end_lease),
            (fault_rates.unreadable, self._write_unreadable),
        )
        total = 0.0
        return [(total := total + rate, threat) for rate, threat in rates]

    def inject(self, roll: float) -> None:
        next(threat for limit, threat in self.threats if roll < limit)()

    def _kill_replica(self) -> None:
        self.scheduler.kill(self.scheduler.one_of(self.scheduler.one_of(self.services)))

    def wipe(self) -> None:
        self.scheduler.log(None, "the bus loses a stream")
        self.scheduler.one_of(self.bus.streams).wipe()

    def _replay(self) -> None:
        self.scheduler.log(None, "a consumer is reset: the bus delivers its history again")
        self.scheduler.one_of(self.bus.durables).replay()

    def _time_out(self) -> None:
        if self.scheduler.waiting:
            self.scheduler.time_out(self.scheduler.one_of(tuple(self.scheduler.waiting)))

    def pause(self) -> None:
        seconds = SHORTEST_PAUSE_S + int(self.scheduler.dice() * (LONGEST_PAUSE_S - SHORTEST_PAUSE_S))
        self.scheduler.log(None, "{} s pass", seconds)
        self.scheduler.now += timedelta(seconds=seconds)

    def pause_long(self) -> None:
        self.scheduler.log(None, "a minute passes")
        self.scheduler.now += MINUTE

    def _end_lease(self) -> None:
        self.scheduler.log(None, "a relay's lease ends while it publishes")
        self.scheduler.one_of(self.outboxes).holder = None

    def _write_unreadable(self) -> None:
        self.scheduler.log(None, "an outbox gets an unreadable row")
        outbox = self.scheduler.one_of(self.outboxes)
        topics = (GATEWAY_STATUS, WORK_PLACED) if outbox.schema == GATEWAY else (KITCHEN_STATUS,)
        outbox.add_unreadable(self.scheduler.one_of(topics))
