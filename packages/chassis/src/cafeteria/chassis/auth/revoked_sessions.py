"""A verifier's list of ended sessions. It forgets an end once all access tokens of the session have expired."""

from collections.abc import Iterable
from time import time
from uuid import UUID

from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.contracts.identity import Revocation, SessionsRevoked

LIMIT = 100_000
"""The most sessions in the list, about 20 MB; above it the ones that expire first are dropped. A campus ends far fewer
sessions within the lifetime of an access token."""

FORGET_EVERY_S = 30.0

LISTED = metrics.gauge("cafeteria_revoked_sessions", "Ended sessions whose access tokens are refused here")

_log = get_logger()


class RevokedSessions:
    """Answers `session in revoked` with one look-up. Repeated revocations change nothing."""

    def __init__(self) -> None:
        self._until: dict[UUID, float] = {}
        self._forget_at = 0.0

    def __contains__(self, session: UUID) -> bool:
        return session in self._until

    def receive(self, message: SessionsRevoked) -> None:
        """Add the revocations of a message from identity."""
        self.add(message.revocations)

    def add(self, revocations: Iterable[Revocation]) -> None:
        for each in revocations:
            self._until[each.session] = each.until.timestamp()
        now = time()
        if now >= self._forget_at or len(self._until) > LIMIT:
            self._forget_at = now + FORGET_EVERY_S
            self._forget(now)
        LISTED.metric().set(len(self._until))

    def _forget(self, now: float) -> None:
        self._until = {session: until for session, until in self._until.items() if until > now}
        if len(self._until) > LIMIT:
            self._drop(len(self._until) - LIMIT + LIMIT // 10)

    def _drop(self, number: int) -> None:
        """Make room for a while: sorting the list takes 0.1 s."""
        _log.error("revoked_sessions_dropped", sessions=number)
        for session in sorted(self._until, key=self._until.__getitem__)[:number]:
            del self._until[session]
