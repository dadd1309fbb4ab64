"""The consistency checks of a quiescent system, and every violation that they found."""

import asyncio
from http import HTTPStatus

import msgspec

from cafeteria.faultkit.cluster import Arena
from cafeteria.faultkit.history import History
from cafeteria.faultkit.invariants import check
from cafeteria.faultkit.quiescence import Rest, streams_caught_up
from cafeteria.faultkit.snapshot import Snapshot, read_snapshot
from cafeteria.rush.load_clients import Crowd
from cafeteria.rush.nemesis import Nemesis
from cafeteria.rush.replay import replay_everything
from cafeteria.rush.secrecy import leaks

REPLAY = "I11 history told again changes nothing"
SECRECY = "I12 no log holds a secret"
ANSWERED = "everybody was answered"
FORESEEN = "no fault was met unprepared"
BACK = "everything came back"
REST_WITHIN_S = 15.0
IN_TIME = f"all orders ended {REST_WITHIN_S:.0f} s after the last fault"


class Examination:
    """`violations` has every check that was made, with its sentences; `skipped` the checks not made, and why."""

    def __init__(self, arena: Arena, history: History) -> None:
        self._arena = arena
        self._history = history
        self.violations: dict[str, list[str]] = {}
        self.skipped: dict[str, str] = {}
        self.replayed = 0

    async def ask_what_is_stored(self, rest: Rest) -> Snapshot:
        """Check I1 to I10 for everything so far; may be called again later."""
        async with self._arena.database() as connection:
            stored = await read_snapshot(connection)
        stored = msgspec.structs.replace(stored, on_the_way=rest.left)
        await streams_caught_up(stored, self._history)
        for name, sentences in check(stored, self._history).items():
            self.note(name, sentences)
        return stored

    async def ask_again_after_a_replay(self) -> None:
        """Check I11: replay all history."""
        replay = await replay_everything(self._arena)
        self.replayed += replay.messages
        self.note(REPLAY, replay.violations)

    async def ask_the_logs(self, crowd: Crowd) -> None:
        """Check I12: search the logs for secrets."""
        tokens = [secret for student in crowd.students for secret in student.secrets]
        home = self._arena.home
        found = await asyncio.to_thread(lambda: list(leaks(home.logs, secrets=home.secrets, tokens=tokens)))
        self.note(SECRECY, found)

    def ask_the_people(self, crowd: Crowd, nemesis: Nemesis, rest: Rest) -> None:
        self.note(ANSWERED, crowd.unanswered)
        self.note(FORESEEN, _unforeseen(self._history))
        self.note(BACK, nemesis.failures)
        self.note(IN_TIME, _too_late(rest))

    def note(self, name: str, sentences: list[str] | tuple[str, ...]) -> None:
        """Add the sentences of a check, each once."""
        known = self.violations.setdefault(name, [])
        met = set(known)
        known += [sentence for sentence in sentences if sentence not in met]


def _unforeseen(history: History) -> list[str]:
    """Return a sentence for each 500: the service had no handling for the fault."""
    return [
        f"{exchange.wish} was answered 500 at {exchange.ended_at_s:.1f} s"
        for exchange in history.exchanges
        if exchange.status == HTTPStatus.INTERNAL_SERVER_ERROR
    ]


def _too_late(rest: Rest) -> list[str]:
    if rest.mended_after_s is None or rest.ended_after_s is None:
        return [f"{rest.open_orders} orders never ended"]
    if rest.mended_after_s > REST_WITHIN_S:
        return [f"the last order ended {rest.mended_after_s:.1f} s after the last fault"]
    return []
