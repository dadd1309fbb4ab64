"""The rules of signing in, as tables."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from cafeteria.contracts.identity import LoginOutcome
from cafeteria.contracts.values import Role
from cafeteria.identity.domain import (
    Account,
    LoginLimits,
    LoginWindow,
    RefreshToken,
    RefreshVerdict,
    is_student_id,
    judge_login,
    judge_one_time,
    judge_refresh,
    retry_after_s,
    search_form,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = LoginLimits(per_client=3, per_student=30, window=timedelta(seconds=60))
USER_ID = UUID(int=1)


def account(*, disabled: bool = False) -> Account:
    return Account(
        user_id=USER_ID,
        student_id="210041101",
        role=Role.STUDENT,
        password_hash="",
        is_disabled=disabled,
    )


@pytest.mark.parametrize(
    ("found", "matches", "outcome"),
    [
        (None, False, LoginOutcome.UNKNOWN_USER),
        (None, True, LoginOutcome.UNKNOWN_USER),
        (account(), False, LoginOutcome.WRONG_PASSWORD),
        (account(), True, LoginOutcome.SUCCEEDED),
        (account(disabled=True), False, LoginOutcome.WRONG_PASSWORD),
        (account(disabled=True), True, LoginOutcome.DISABLED),
    ],
)
def test_a_login_succeeds_only_with_the_password_of_an_enabled_account(
    found: Account | None, *, matches: bool, outcome: LoginOutcome
) -> None:
    assert judge_login(found, password_matches=matches) is outcome


def stored(
    *,
    used_s_ago: float | None = None,
    successors: int = 0,
    revoked: bool = False,
    ends_in_s: int = 60,
    disabled: bool = False,
    unused_days: float = 1,
) -> RefreshToken:
    return RefreshToken(
        token_id=UUID(int=2),
        family=UUID(int=3),
        account=account(disabled=disabled),
        expires_at=NOON + timedelta(seconds=ends_in_s),
        last_used_at=NOON - timedelta(days=unused_days),
        used_for=None if used_s_ago is None else timedelta(seconds=used_s_ago),
        successors=successors,
        is_family_revoked=revoked,
    )


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        (None, RefreshVerdict.REFUSE),
        (stored(), RefreshVerdict.ROTATE),
        (stored(ends_in_s=0), RefreshVerdict.REFUSE),
        (stored(unused_days=7), RefreshVerdict.REFUSE),
        (stored(unused_days=6.99), RefreshVerdict.ROTATE),
        (stored(disabled=True), RefreshVerdict.REVOKE_DISABLED),
        (stored(revoked=True), RefreshVerdict.REFUSE),
        (stored(used_s_ago=-0.1, successors=1), RefreshVerdict.REPEAT),  # it began before the first use
        (stored(used_s_ago=10, successors=19), RefreshVerdict.REPEAT),
        (stored(used_s_ago=0.1, successors=20), RefreshVerdict.REFUSE_REPEAT),
        (stored(used_s_ago=0.1, revoked=True), RefreshVerdict.REFUSE),
        (stored(used_s_ago=0.1, disabled=True), RefreshVerdict.REVOKE_DISABLED),
        (stored(used_s_ago=0.1, ends_in_s=0), RefreshVerdict.REFUSE),
        (stored(used_s_ago=10.1), RefreshVerdict.REVOKE_FAMILY),
        (stored(used_s_ago=10.1, successors=20), RefreshVerdict.REVOKE_FAMILY),
        (stored(used_s_ago=10.1, ends_in_s=0), RefreshVerdict.REVOKE_FAMILY),
        (stored(used_s_ago=10.1, disabled=True), RefreshVerdict.REVOKE_FAMILY),
    ],
)
def test_a_refresh_token_gives_one_rotation_and_repeats_within_its_grace(
    token: RefreshToken | None, verdict: RefreshVerdict
) -> None:
    assert judge_refresh(token, now=NOON, idle=timedelta(days=7)) is verdict


@pytest.mark.parametrize(
    ("attempts", "started_s_ago", "client_attempts", "client_started_s_ago", "seconds"),
    [
        (3, 10, 3, 10, 50),
        (3, 59.5, 3, 59.5, 1),
        (30, 20, 0, None, 40),
        (30, 50, 3, 10, 50),
        (30, 10, 3, 50, 50),
        (2, 10, 2, 10, 1),  # its limits allow attempts again: the next one may follow at once
        (3, 61, 3, 61, 1),
    ],
)
def test_after_the_given_wait_every_window_that_refused_has_ended(
    attempts: int,
    started_s_ago: float,
    client_attempts: int,
    client_started_s_ago: float | None,
    seconds: int,
) -> None:
    window = LoginWindow(
        started_at=NOON - timedelta(seconds=started_s_ago),
        attempts=attempts,
        client_started_at=None
        if client_started_s_ago is None
        else NOON - timedelta(seconds=client_started_s_ago),
        client_attempts=client_attempts,
    )
    assert retry_after_s(window, LIMITS, now=NOON) == seconds


def test_without_a_window_the_wait_is_one_second() -> None:
    assert retry_after_s(None, LIMITS, now=NOON) == 1


@pytest.mark.parametrize("text", ["2", "210041101", "kitchen-1", "A" * 32])
def test_letters_digits_and_hyphens_make_a_student_id(text: str) -> None:
    assert is_student_id(text)


@pytest.mark.parametrize("text", ["", "A" * 33, "a b", "a\n", "২১০", "a_b", "a\x00"])
def test_any_other_text_is_not_a_student_id(text: str) -> None:
    assert not is_student_id(text)


@pytest.mark.parametrize(
    ("sent", "searched"), [(" Ada ", "Ada"), ("Zoe\u0308", "Zo\u00eb"), ("", ""), (" ", "")]
)
def test_a_search_text_has_the_form_of_stored_names(sent: str, searched: str) -> None:
    assert search_form(sent) == searched


@pytest.mark.parametrize(
    ("ends_in_s", "is_replaced", "outcome"),
    [
        (None, False, LoginOutcome.SUCCEEDED),
        (None, True, LoginOutcome.SUCCEEDED),
        (1, False, LoginOutcome.PASSWORD_CHANGE_REQUIRED),
        (1, True, LoginOutcome.SUCCEEDED),
        (0, False, LoginOutcome.ONE_TIME_PASSWORD_EXPIRED),
        (0, True, LoginOutcome.ONE_TIME_PASSWORD_EXPIRED),
    ],
)
def test_a_one_time_password_signs_in_in_time_and_only_with_a_new_one(
    ends_in_s: int | None, is_replaced: Any, outcome: LoginOutcome
) -> None:
    until = None if ends_in_s is None else NOON + timedelta(seconds=ends_in_s)
    found = msgspec.structs.replace(account(), one_time_until=until)
    assert judge_one_time(found, is_replaced=is_replaced, at=NOON) is outcome
