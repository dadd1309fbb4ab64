"""The consistency checks of a quiescent system, and every violation that they found."""

import asyncio
from http import HTTPStatus

import msgspec

from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.history import History
from cafeteria.faultkit.invariants import check
from cafeteria.faultkit.quiescence import Quiescence, streams_caught_up
from cafeteria.faultkit.snapshot import Snapshot, read_snapshot
from cafeteria.rush.load_clients import LoadClients
from cafeteria.rush.nemesis import Nemesis
from cafeteria.rush.replay import replay_everything
from cafeteria.rush.secrecy import leaks

REPLAY = "I11 history told again changes nothing"
SECRECY = "I12 no log holds a secret"
ANSWERED = "everybody was answered"
FORESEEN = "no fault was met unprepared"
BACK = "everything came back"
QUIESCENT_WITHIN_S = 15.0
IN_TIME = f"all orders ended {QUIESCENT_WITHIN_S:.0f} s after the last fault"


class ConsistencyChecks:
    """`violations` has every check that was made, with its sentences; `skipped` the checks not made, and why."""

    def __init__(self, cluster: Cluster, history: History) -> None:
        self._cluster = cluster
        self._history = history
        self.violations: dict[str, list[str]] = {}
        self.skipped: dict[str, str] = {}
        self.replayed = 0

    async def check_stored_data(self, quiescence: Quiescence) -> Snapshot:
        """Check I1 to I10 for everything so far; may be called again later."""
        async with self._cluster.database() as connection:
            stored = await read_snapshot(connection)
        stored = msgspec.structs.replace(stored, on_the_way=quiescence.left)
        await streams_caught_up(stored, self._history)
        for name, sentences in check(stored, self._history).items():
            self.note(name, sentences)
        return stored

    async def check_replay(self) -> None:
        """Check I11: replay all history."""
        replay = await replay_everything(self._cluster)
        self.replayed += replay.messages
        self.note(REPLAY, replay.violations)

    async def check_logs(self, load_clients: LoadClients) -> None:
        """Check I12: search the logs for secrets."""
        tokens = [secret for student in load_clients.students for secret in student.secrets]
        data_directory = self._cluster.data_directory
        found = await asyncio.to_thread(
            lambda: list(leaks(data_directory.logs, secrets=data_directory.secrets, tokens=tokens))
        )
        self.note(SECRECY, found)

    def check_observations(self, load_clients: LoadClients, nemesis: Nemesis, quiescence: Quiescence) -> None:
        self.note(ANSWERED, load_clients.unanswered)
        self.note(FORESEEN, _unforeseen(self._history))
        self.note(BACK, nemesis.failures)
        self.note(IN_TIME, _too_late(quiescence))

    def note(self, name: str, sentences: list[str] | tuple[str, ...]) -> None:
        """Add the sentences of a check, each once."""
        reported = self.violations.setdefault(name, [])
        earlier = set(reported)
        reported += [sentence for sentence in sentences if sentence not in earlier]


def _unforeseen(history: History) -> list[str]:
    """Return a sentence for each 500: the service had no handling for the fault."""
    return [
        f"{exchange.intent} was answered 500 at {exchange.ended_at_s:.1f} s"
        for exchange in history.exchanges
        if exchange.status == HTTPStatus.INTERNAL_SERVER_ERROR
    ]


def _too_late(quiescence: Quiescence) -> list[str]:
    if quiescence.recovered_after_s is None or quiescence.ended_after_s is None:
        return [f"{quiescence.open_orders} orders never ended"]
    if quiescence.recovered_after_s > QUIESCENT_WITHIN_S:
        return [f"the last order ended {quiescence.recovered_after_s:.1f} s after the last fault"]
    return []
