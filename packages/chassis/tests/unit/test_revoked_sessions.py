"""Tokens of an ended session are refused, also verified ones, and the list of such sessions stays small."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, cast
from uuid import UUID

import pytest

from cafeteria.chassis.auth import jwks, revoked_sessions
from cafeteria.chassis.auth.jwks import KeySource, keys_over
from cafeteria.chassis.auth.revoked_sessions import RevokedSessions
from cafeteria.chassis.auth.tokens import TokenVerifier
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.runtime.errors import Unauthenticated, Unavailable
from cafeteria.contracts.identity import FetchJwks, JwksAnswered, Revocation, SessionsRevoked

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SESSION = UUID("0193a400-0000-7000-8000-00000000005e")


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(revoked_sessions, "time", clock)
    return clock


def revocation(session: int | UUID, *, seconds: float = 900, since: datetime = NOW) -> Revocation:
    session = session if isinstance(session, UUID) else UUID(int=session)
    return Revocation(session=session, until=since + timedelta(seconds=seconds))


def live(session: int | UUID) -> Revocation:
    return revocation(session, since=datetime.now(UTC))


async def verifier_of(signer: Any, revoked: RevokedSessions) -> TokenVerifier:
    keys = KeySource(signer.fetch, revoked=revoked)
    await keys.refresh()
    return TokenVerifier(keys)


async def test_a_token_of_an_ended_session_is_refused_also_after_it_was_verified(signer: Any) -> None:
    revoked = RevokedSessions()
    verifier = await verifier_of(signer, revoked)
    token, other = signer.token().encode(), signer.token(sid=str(UUID(int=9))).encode()
    assert (await verifier.verify(token)).session == SESSION
    revoked.receive(SessionsRevoked(revocations=(live(SESSION),)))
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="This session was ended: sign in again"):
            await verifier.verify(token)
    assert (await verifier.verify(other)).session == UUID(int=9)
    with pytest.raises(Unauthenticated, match="ended"):
        await verifier.verify(signer.token(sub="210041102").encode())


async def test_no_token_is_verified_before_the_ended_sessions_are_known(signer: Any) -> None:
    first = JwksAnswered(keys=signer.jwks.keys, revocations=(live(1), live(2)))
    answers: dict[UUID | None, JwksAnswered] = {None: first}
    keys = keys_over(cast("Bus", Identity(answers)))
    with pytest.raises(KeyError):  # the second page does not arrive
        await keys.refresh()
    with pytest.raises(Unavailable):
        await keys.check()


class Identity:
    """Stands in for the bus: `answers` has an answer for each session after which a request asks."""

    def __init__(self, answers: dict[UUID | None, JwksAnswered]) -> None:
        self._answers = answers

    async def connected(self) -> None: ...

    async def request(self, _: object, message: FetchJwks, *, deadline_s: float) -> JwksAnswered:
        assert deadline_s == jwks.FETCH_DEADLINE_S
        return self._answers[message.after.session if message.after else None]


async def test_all_ended_sessions_are_fetched_page_by_page(signer: Any) -> None:
    pages = [(live(1), live(2)), (live(3),), ()]
    after = [None, UUID(int=2), UUID(int=3)]
    answers = {
        session: JwksAnswered(keys=signer.jwks.keys, revocations=page)
        for session, page in zip(after, pages, strict=True)
    }
    keys = keys_over(cast("Bus", Identity(answers)))
    await keys.refresh()
    await keys.check()
    assert all(UUID(int=number) in keys.revoked for number in (1, 2, 3))


async def test_the_keys_of_an_identity_that_knows_no_revocations_are_accepted(signer: Any) -> None:
    keys = keys_over(cast("Bus", Identity({None: JwksAnswered(keys=signer.jwks.keys)})))
    await keys.refresh()
    await keys.check()


@pytest.mark.parametrize(
    "sid",
    ["", "x", "0193A400-0000-7000-8000-00000000005E", SESSION.hex, f"{{{SESSION}}}", 7, ["x"], {}, True],
)
async def test_a_session_id_has_one_form(signer: Any, sid: object) -> None:
    verifier = await verifier_of(signer, RevokedSessions())
    with pytest.raises(Unauthenticated, match="not of this system"):
        await verifier.verify(signer.token(sid=sid).encode())


def test_a_session_is_forgotten_when_its_tokens_have_expired(clock: Clock) -> None:
    revoked = RevokedSessions()
    revoked.add([revocation(1, seconds=60), revocation(2, seconds=900)])
    clock.at += timedelta(seconds=59)
    revoked.add([])
    assert UUID(int=1) in revoked
    clock.at += timedelta(seconds=revoked_sessions.FORGET_EVERY_S)
    revoked.add([])
    assert UUID(int=1) not in revoked
    assert UUID(int=2) in revoked


def test_above_the_limit_those_that_end_first_are_dropped(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoked_sessions, "LIMIT", 3)
    revoked = RevokedSessions()
    revoked.add([revocation(number, seconds=100 + number) for number in (5, 1, 4, 2, 3)])
    assert [number for number in range(6) if UUID(int=number) in revoked] == [3, 4, 5]
    clock.at += timedelta(seconds=1)
    revoked.add([revocation(6, seconds=500)])
    assert UUID(int=3) not in revoked


async def test_20_000_ended_sessions_do_not_block_the_loop() -> None:
    """A second's messages, as they arrive; the longest pause of the loop is that of one message."""
    revoked = RevokedSessions()
    since = datetime.now(UTC)
    for second in range(2):
        longest_s = 0.0
        for first in range(0, 20_000, 500):
            page = tuple(revocation(first + number, since=since) for number in range(500))
            began = perf_counter()
            revoked.receive(SessionsRevoked(revocations=page))
            longest_s = max(longest_s, perf_counter() - began)
            await asyncio.sleep(0)
        assert longest_s < 0.05, second
    assert UUID(int=0) in revoked
    assert UUID(int=19_999) in revoked
