"""A service's copy of identity's public keys and of its ended sessions. It keeps the last ones while identity is away.

Without a key no service can tell a forged token from a good one, so the answer is then 503, never 401.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from time import monotonic

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cafeteria.chassis.auth.revoked_sessions import RevokedSessions
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.identity import FetchJwks, Jwk, Jwks
from cafeteria.contracts.subjects import JWKS

UNKNOWN_KID_PAUSE_S = 60.0
"""At most one request to identity for an unknown kid in this time: any client can invent kids."""

REFRESH_S = 600.0
"""The longest time for which a key that identity has withdrawn is still accepted."""

RETRY_S = 1.0
FETCH_DEADLINE_S = 2.0

_log = logs.get_logger()


class KeySource:
    """Fetches the keys until it has some, and again every REFRESH_S: the app calls `refresh_when_due` periodically.

    `fetch` has its own deadline, and adds the ended sessions to `revoked` before it returns: there is no moment in which
    tokens can be verified and the ends of their sessions are unknown.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Jwks]], *, revoked: RevokedSessions | None = None
    ) -> None:
        self._fetch = fetch
        self.revoked = revoked or RevokedSessions()
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._is_stale = True
        self._fetched_at = 0.0
        self._next_unknown_at = 0.0
        self._fetching = asyncio.Lock()
        self.generation = 0
        """Increases when the set of keys changes; results that were verified with the old keys are then invalid."""

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        """The key of `kid`; None if identity has no such key. Raises Unavailable while that cannot be known."""
        key = self._keys.get(kid)
        if key is None and self._keys:
            await self._refresh_for_unknown()
            key = self._keys.get(kid)
        if key is None and self._is_stale:
            raise Unavailable(
                "Tokens cannot be checked just now: identity's keys are not known here. Try again shortly."
            )
        return key

    async def check(self) -> None:
        """The readiness check: raises Unavailable while there are no keys."""
        if not self._keys:
            raise Unavailable("identity has not given its keys yet")

    async def refresh(self) -> None:
        """Fetch now. A failure keeps the keys, and raises."""
        async with self._fetching:
            self._is_stale = True
            jwks = await self._fetch()
            self._store(jwks)

    async def refresh_when_due(self) -> None:
        """Fetch if the keys are old or the last fetch failed; called every RETRY_S."""
        if self._is_stale or monotonic() - self._fetched_at > REFRESH_S:
            await self.refresh()

    async def _refresh_for_unknown(self) -> None:
        """Refresh once in UNKNOWN_KID_PAUSE_S at most; calls during a refresh wait for its end."""
        if self._fetching.locked():
            async with self._fetching:
                return
        if monotonic() < self._next_unknown_at:
            return
        self._next_unknown_at = monotonic() + UNKNOWN_KID_PAUSE_S
        try:
            await self.refresh()
        except Exception as error:  # noqa: BLE001 - the periodic refresh retries; the caller sees stale keys
            _log.warning("keys_unanswered", reason=type(error).__name__)

    def _store(self, jwks: Jwks) -> None:
        read = {jwk.kid: _public_key(jwk) for jwk in jwks.keys if _is_supported(jwk)}
        keys = {kid: key for kid, key in read.items() if key is not None}
        if not keys:
            return  # the last good keys stay, and the next refresh is soon
        if keys.keys() != self._keys.keys():
            self.generation += 1
            _log.info("keys_changed", kids=sorted(keys))
        self._keys = keys
        self._is_stale = False
        self._fetched_at = monotonic()


def keys_over(bus: Bus) -> KeySource:
    """A KeySource that requests the keys and the ended sessions from identity over the bus, once it is connected."""
    revoked = RevokedSessions()

    async def fetch() -> Jwks:
        async with asyncio.timeout(FETCH_DEADLINE_S):
            await bus.connected()
        answer = await bus.request(JWKS, FetchJwks(), deadline_s=FETCH_DEADLINE_S)
        keys = answer.keys
        while answer.revocations:
            revoked.add(answer.revocations)
            following = FetchJwks(after=answer.revocations[-1])
            answer = await bus.request(JWKS, following, deadline_s=FETCH_DEADLINE_S)
        return Jwks(keys=keys)

    return KeySource(fetch, revoked=revoked)


def _is_supported(jwk: Jwk) -> bool:
    return (jwk.kty, jwk.crv, jwk.alg, jwk.use) == ("OKP", "Ed25519", "EdDSA", "sig")


def _public_key(jwk: Jwk) -> Ed25519PublicKey | None:
    """None for bytes that are no key, because one broken key must not hide the others."""
    try:
        padding = "=" * (-len(jwk.x) % 4)
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk.x + padding))
    except ValueError as error:
        _log.warning("key_unreadable", kid=jwk.kid, reason=str(error))
        return None
