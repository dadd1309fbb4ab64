"""The scheduler: simulated processes take one atomic step at a time, in an order drawn from a seed.

A process is a generator. It yields a `Commit` (a statement or transaction, whole or not at all) or an `Ask` (a
request to a peer) and is resumed with the outcome; between two yields nothing else happens. While there are
faults, any commit may get no answer, any message may be lost, late or doubled, and any process may die. In the
quiesce phase everything is answered at once.
"""

from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from random import Random
from typing import Any, Protocol

from cafeteria.protocol_model.guards import Faults, Guards

EPOCH = datetime(2026, 3, 1, 18, tzinfo=UTC)
STEP = timedelta(milliseconds=1)
SLOW_STEP_IS_HELD = 0.6
COMMITTED, NOT_COMMITTED = 0.5, 0.3
"""The shares of unanswered commits that did and did not happen; the others are committed later."""


class Unknown(Enum):
    """An outcome that is unknown because no answer came: it never means "no"."""

    LOST = "no answer"


LOST = Unknown.LOST


class Commit:
    """A change that Postgres or JetStream makes whole or not at all."""

    __slots__ = ("arguments", "do", "label")

    def __init__(self, label: str, do: Callable[..., Any], *arguments: Any) -> None:
        self.label = label
        self.do = do
        self.arguments = arguments


class Ask:
    """A request to any one replica of `peers`; the outcome is its reply, or LOST."""

    __slots__ = ("label", "peers", "question")

    def __init__(self, label: str, peers: "Sequence[Listener]", question: Any) -> None:
        self.label = label
        self.peers = peers
        self.question = question


Steps = Generator[Commit | Ask, Any, Any]


def twice(label: str, do: Callable[..., Any], *arguments: Any) -> Steps:
    """Commit like a group commit: after an unknown outcome, try the same once more."""
    outcome = yield Commit(label, do, *arguments)
    if outcome is LOST:
        outcome = yield Commit(f"{label} again", do, *arguments)
    return outcome


def busy(scheduler: "Scheduler", label: str) -> Steps:
    """Wait for a commit that may be running already: what arrives meanwhile forms one batch."""
    if not scheduler.is_quiescing and scheduler.happens(scheduler.fault_rates.busy):
        yield Commit(label, _nothing)


def _nothing() -> None: ...


class Event(Protocol):
    """A step that the scheduler can run. It is lost when its process `home` dies; a step without one cannot be lost."""

    @property
    def home(self) -> "Replica | None": ...

    @property
    def label(self) -> str: ...

    def go(self) -> None: ...


class Replica:
    """One process of a service; everything that it remembers is lost when it is killed."""

    def __init__(self, scheduler: "Scheduler", name: str) -> None:
        self.scheduler = scheduler
        self.name = name
        self.busy: set[str] = set()

    def forget(self) -> None:
        """Drop all memory: the process was killed and started again."""
        self.busy.clear()

    def run_alone(self, loop: str, steps: Callable[[], Steps]) -> bool:
        """Run a tick of a job, unless its previous tick still runs; return whether it began."""
        if loop in self.busy:
            return False
        self.busy.add(loop)
        Task(self.scheduler, self, steps(), loop=loop).resume(None)
        return True


class Listener(Protocol):
    """A replica that answers requests."""

    def handle(self, request: "Request") -> None: ...


class Task:
    """A running generator of a process."""

    __slots__ = ("home", "label", "loop", "next", "scheduler", "steps")

    def __init__(self, scheduler: "Scheduler", home: Replica, steps: Steps, *, loop: str = "") -> None:
        self.scheduler = scheduler
        self.home = home
        self.steps = steps
        self.loop = loop
        self.label = ""
        self.next: Commit | None = None

    def go(self) -> None:
        commit = self.next
        if commit is not None:
            self.resume(self.scheduler.commit(commit, self.home))

    def resume(self, outcome: Any) -> None:
        """Continue until the next step."""
        try:
            step = self.steps.send(outcome)
        except StopIteration:
            self.home.busy.discard(self.loop)
            return
        if isinstance(step, Ask):
            self.scheduler.ask(step, self)
        else:
            self.next = step
            self.label = step.label
            self.scheduler.ready.append(self)


class Request:
    """A request in transit. Its sender is resumed once: with the first reply, or by a time-out."""

    __slots__ = ("asker", "label", "peers", "question", "scheduler", "sent_at")

    home = None

    def __init__(self, scheduler: "Scheduler", ask: Ask, asker: Task | None) -> None:
        self.scheduler = scheduler
        self.label = ask.label
        self.peers = ask.peers
        self.question = ask.question
        self.asker = asker
        self.sent_at = scheduler.now

    def go(self) -> None:
        """Deliver the request or lose it; it may be delivered once more later."""
        scheduler = self.scheduler
        if not scheduler.is_quiescing:
            if scheduler.happens(scheduler.fault_rates.lost):
                scheduler.log(None, "{}: the request is lost", self.label)
                return
            if scheduler.happens(scheduler.fault_rates.doubled):
                scheduler.ready.append(self)
        scheduler.one_of(self.peers).handle(self)

    def reply(self, answer: Any) -> None:
        scheduler = self.scheduler
        asker = self.asker
        if asker is None:
            return
        if not scheduler.is_quiescing and scheduler.happens(scheduler.fault_rates.lost):
            scheduler.log(None, "{}: the reply to {} is lost", self.label, asker.home.name)
            return
        self.settle(answer)

    def settle(self, answer: Any) -> None:
        asker, self.asker = self.asker, None
        self.scheduler.waiting.pop(self, None)
        if asker is not None:
            asker.resume(answer)


class LateCommit:
    """A commit that the server makes after its client stopped waiting."""

    __slots__ = ("commit", "label", "scheduler")

    home = None

    def __init__(self, scheduler: "Scheduler", commit: Commit) -> None:
        self.scheduler = scheduler
        self.commit = commit
        self.label = commit.label

    def go(self) -> None:
        self.commit.do(*self.commit.arguments)
        self.scheduler.log(None, "{} is committed late", self.label)


class Scheduler:
    """The clock, the random draws, and all steps that can run next. `trace`, if given, collects their trace."""

    def __init__(self, seed: int, *, guards: Guards, faults: Faults, trace: list[str] | None = None) -> None:
        self.chance = Random(seed)  # noqa: S311 - a schedule is to be drawn again, not to be kept secret
        self.dice = self.chance.random
        self.guards = guards
        self.fault_rates = faults.drawn(self.chance)
        self.now = EPOCH
        self.is_quiescing = False
        self.ready: list[Event] = []
        self.held: list[Event] = []
        self.holding = self.fault_rates.held
        self.slow_step = self.one_of(self.fault_rates.slow_steps) if self.fault_rates.held else ""
        self.waiting: dict[Request, None] = {}
        self.trace = trace
        self.notes: list[str] | None = None if trace is None else []

    def happens(self, rate: float) -> bool:
        return self.dice() < rate

    def one_of(self, several: Sequence[Any]) -> Any:
        return several[int(self.dice() * len(several))]

    def begin(self, home: Replica, steps: Steps) -> None:
        Task(self, home, steps).resume(None)

    def ask(self, ask: Ask, asker: Task | None) -> None:
        request = Request(self, ask, asker)
        self.ready.append(request)
        if asker is not None:
            self.waiting[request] = None

    def go_on(self) -> None:
        """Run one of the ready steps, or delay it."""
        ready = self.ready
        place = int(self.dice() * len(ready))
        last = ready.pop()
        if place < len(ready):
            last, ready[place] = ready[place], last
        rate = SLOW_STEP_IS_HELD if last.label == self.slow_step else self.holding
        if rate and self.dice() < rate:
            self.log(last.home, "{} is delayed", last.label)
            self.held.append(last)
        else:
            last.go()

    def commit(self, commit: Commit, home: Replica) -> Any:
        if self.is_quiescing or self.dice() >= self.fault_rates.commit:
            outcome = commit.do(*commit.arguments)
            if self.trace is not None:
                self.log(home, commit.label)
            return outcome
        draw = self.dice()
        if draw < COMMITTED:
            commit.do(*commit.arguments)
            self.log(home, "{}: committed, but the answer is lost", commit.label)
        elif draw < COMMITTED + NOT_COMMITTED:
            self.log(home, "{}: not committed, and there is no answer", commit.label)
        else:
            (self.held if self.happens(0.5) else self.ready).append(LateCommit(self, commit))
            self.log(home, "{}: no answer, and it is not committed yet", commit.label)
        return LOST

    def kill(self, home: Replica) -> None:
        """End everything that the process was doing; what it has sent stays in transit."""
        self.ready = [each for each in self.ready if each.home is not home]
        self.held = [each for each in self.held if each.home is not home]
        for request in [each for each in self.waiting if each.asker is not None and each.asker.home is home]:
            request.asker = None
            del self.waiting[request]
        home.forget()
        self.log(home, "is killed, and starts again")

    def time_out(self, request: Request) -> None:
        """Resume the sender of the request without a reply."""
        if request.asker is not None:
            self.log(request.asker.home, "{}: times out", request.label)
        request.settle(LOST)

    def note(self, what: str, *about: Any) -> None:
        """Add a remark to the line of the trace that `log` will write."""
        if self.notes is not None:
            self.notes.append(what.format(*about))

    def log(self, home: Replica | None, what: str, *about: Any) -> None:
        if self.trace is None or self.notes is None:
            return
        since = (self.now - EPOCH).total_seconds()
        noted = f" ({'; '.join(self.notes)})" if self.notes else ""
        self.trace.append(f"{since:8.3f} s  {home.name if home else '':14}  {what.format(*about)}{noted}")
        self.notes.clear()
