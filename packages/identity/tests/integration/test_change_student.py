"""Operators change names and roles, disable accounts and enable them again; there is always an operator left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Identity

STUDENT = "210041101"


class Operator:
    """Changes accounts as `operator-1`, or as another one."""

    def __init__(self, identity: Identity, tokens: Tokens) -> None:
        self._identity = identity
        self._tokens = tokens

    async def change(self, whom: str, *, by: str = "operator-1", **body: Any) -> httpx.Response:
        header = self._tokens.header(self._tokens.operator(by))
        return await self._identity.web.patch(f"/v1/students/{whom}", json=body, headers=header)


@pytest.fixture
async def operator(identity: Identity, tokens: Tokens) -> Operator:
    await identity.add_user("operator-1", role="operator")
    return Operator(identity, tokens)


async def test_absent_fields_do_not_change(identity: Identity, operator: Operator) -> None:
    await identity.add_user(full_name="Ada")
    expected = {"student_id": STUDENT, "role": "student", "full_name": "Ada", "disabled": False}
    for body, more in (
        ({}, {}),
        ({"full_name": " Ada \u00a0 Lovelace "}, {"full_name": "Ada Lovelace"}),
        ({"role": "kitchen"}, {"role": "kitchen"}),
        ({"disabled": True}, {"disabled": True}),
        ({"full_name": None, "disabled": False}, {"full_name": None, "disabled": False}),
    ):
        answer = await operator.change(STUDENT, **body)
        expected |= more
        account = answer.json()
        account.pop("created_at")
        assert (answer.status_code, account) == (200, expected)


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "kitchen"}])
async def test_disabling_and_another_role_end_all_sessions(
    identity: Identity, operator: Operator, wait_until: Any, change: dict[str, Any]
) -> None:
    await identity.add_user()
    session = await identity.signed_in()
    assert (await operator.change(STUDENT, **change)).status_code == 200
    assert (await identity.refresh(session["refresh_token"])).status_code == 401
    header = {"Authorization": f"Bearer {session['access_token']}"}

    async def is_refused() -> bool:
        return bool((await identity.web.get("/v1/me", headers=header)).status_code == 401)

    await wait_until(is_refused)
    assert (await operator.change(STUDENT, disabled=False, role="student")).status_code == 200
    assert (await identity.refresh(session["refresh_token"])).status_code == 401
    assert (await identity.login()).status_code == 200


async def test_another_name_or_the_same_role_ends_no_session(identity: Identity, operator: Operator) -> None:
    await identity.add_user()
    session = await identity.signed_in()
    answer = await operator.change(STUDENT, full_name="Ada", role="student", disabled=False)
    assert answer.status_code == 200
    assert (await identity.refresh(session["refresh_token"])).status_code == 200


async def test_a_disabled_account_keeps_the_time_when_it_was_disabled(
    identity: Identity, operator: Operator
) -> None:
    await identity.add_user(disabled=True)
    read = "SELECT disabled_at FROM identity.users WHERE student_id = '210041101'"
    before = await identity.database.fetchval(read)
    assert (await operator.change(STUDENT, disabled=True)).status_code == 200
    assert await identity.database.fetchval(read) == before


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "student"}, {"role": "kitchen"}])
async def test_an_operator_does_not_lock_themself_out(
    identity: Identity, operator: Operator, change: dict[str, Any]
) -> None:
    await identity.add_user("operator-2", role="operator")
    answer = await operator.change("operator-1", **change)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert "your own account" in answer.json()["detail"]
    assert (await operator.change("operator-1", full_name="Ada", role="operator")).status_code == 200
    assert (await operator.change("operator-2", **change)).status_code == 200


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "student"}])
async def test_the_last_enabled_operator_stays(
    identity: Identity, operator: Operator, change: dict[str, Any]
) -> None:
    """A token may belong to an operator who was disabled a moment ago."""
    await identity.add_user("operator-2", role="operator", disabled=True)
    answer = await operator.change("operator-1", by="operator-2", **change)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert "last enabled operator" in answer.json()["detail"]


async def test_operators_who_disable_each_other_at_once_leave_one(
    identity: Identity, operator: Operator
) -> None:
    names = [f"operator-{number}" for number in range(1, 5)]
    for name in names[1:]:
        await identity.add_user(name, role="operator")
    pairs = [(by, whom) for by in names for whom in names if by != whom]
    answers = await asyncio.gather(*(operator.change(whom, by=by, disabled=True) for by, whom in pairs))
    assert {answer.status_code for answer in answers} <= {200, 409}
    enabled = "SELECT count(*) FROM identity.users WHERE role = 'operator' AND disabled_at IS NULL"
    assert await identity.database.fetchval(enabled) == 1


async def test_only_operators_change_accounts(identity: Identity, tokens: Tokens) -> None:
    await identity.add_user()
    path = f"/v1/students/{STUDENT}"
    for token in (tokens.student(), tokens.kitchen()):
        answer = await identity.web.patch(path, json={"role": "operator"}, headers=tokens.header(token))
        assert answer.status_code == 403
    assert (await identity.web.patch(path, json={"role": "operator"})).status_code == 401
    assert await identity.database.fetchval("SELECT role FROM identity.users") == "student"


@pytest.mark.parametrize("student_id", ["999999999", "no_id", "x" * 33])
async def test_an_unknown_account_is_not_found(operator: Operator, student_id: str) -> None:
    answer = await operator.change(student_id, disabled=True)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    "change",
    [
        {"disabled": "yes"},
        {"disabled": None},
        {"role": "king"},
        {"role": None},
        {"full_name": "\u200b"},
        {"full_name": "x" * 121},
        {"password": "a-new-password"},
        {"student_id": "210041102"},
    ],
    ids=ascii,
)
async def test_a_malformed_change_changes_nothing(
    identity: Identity, operator: Operator, change: dict[str, Any]
) -> None:
    await identity.add_user()
    before = await identity.database.fetch("SELECT * FROM identity.users ORDER BY id")
    answer = await operator.change(STUDENT, **{"full_name": "Ada", **change})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
    assert await identity.database.fetch("SELECT * FROM identity.users ORDER BY id") == before
