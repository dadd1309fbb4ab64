"""Operators read the login audit of one student, in pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Identity


PATH = "/v1/students/210041101/logins"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def header(tokens: Tokens) -> dict[str, str]:
    return dict(tokens.header(tokens.operator()))


async def add_attempt(
    identity: Identity, at: datetime, *, student_id: str = "210041101", number: int = 0
) -> None:
    """Write an audit row with an id in no order; `number` is its response time."""
    await identity.database.execute(
        "INSERT INTO identity.login_attempts"
        " (id, user_id, attempted_at, success, response_time_ms, student_id, client_ip, outcome)"
        " VALUES ($1, NULL, $2, false, $3, $4, '203.0.113.7', 'wrong_password')",
        uuid4(),
        at,
        number,
        student_id,
    )


async def test_an_operator_sees_each_attempt_newest_first_without_addresses(
    identity: Identity, header: dict[str, str]
) -> None:
    await identity.add_user()
    await identity.add_user("210041102")
    for password in ("wrong", "iftar-rush-2026", "wrong", "wrong", "wrong"):
        await identity.login(password=password)
    await identity.login("210041102")
    answer = await identity.web.get(PATH, headers=header)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"items", "next_cursor"}
    assert body["next_cursor"] is None
    assert [item["outcome"] for item in body["items"]] == [
        "throttled",
        "wrong_password",
        "succeeded",
        "wrong_password",
    ]
    assert all(set(item) == {"attempted_at", "outcome", "response_time_ms"} for item in body["items"])
    times = [item["attempted_at"] for item in body["items"]]
    assert times == sorted(times, reverse=True)
    assert "127.0.0.1" not in answer.text


async def test_the_pages_have_no_gap_and_no_repeat_while_attempts_are_added(
    identity: Identity, header: dict[str, str]
) -> None:
    await identity.add_user()
    # three attempts of each moment: the place of the last row on a page is its time and its id
    for number in range(9):
        await add_attempt(identity, NOON + timedelta(seconds=number // 3), number=number)
    await add_attempt(identity, NOON, student_id="210041102")
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        parameters = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await identity.web.get(PATH, params=parameters, headers=header)).json()
        seen += [(item["attempted_at"], item["response_time_ms"]) for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
        await add_attempt(identity, NOON + timedelta(minutes=pages), number=100 + pages)
    assert pages == 5
    assert sorted(number for _, number in seen) == list(range(9))
    assert [at for at, _ in seen] == sorted((at for at, _ in seen), reverse=True)


async def test_a_student_who_never_tried_has_an_empty_page(
    identity: Identity, header: dict[str, str]
) -> None:
    await identity.add_user()
    assert (await identity.web.get(PATH, headers=header)).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("student_id", ["210041199", "no_id", "x" * 33, "%20", "210041101%0A"])
async def test_an_unknown_student_is_not_found(
    identity: Identity, header: dict[str, str], student_id: str
) -> None:
    await identity.add_user()
    await identity.login("210041199")
    answer = await identity.web.get(f"/v1/students/{student_id}/logins", headers=header)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_only_operators_read_the_audit(identity: Identity, tokens: Tokens) -> None:
    await identity.add_user()
    for token in (tokens.student("210041101"), tokens.kitchen()):
        answer = await identity.web.get(PATH, headers=tokens.header(token))
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    assert (await identity.web.get(PATH)).status_code == 401


@pytest.mark.parametrize("query", ["cursor=", "cursor=x", "limit=0", "limit=201"])
async def test_a_malformed_query_is_refused(identity: Identity, header: dict[str, str], query: str) -> None:
    await identity.add_user()
    answer = await identity.web.get(f"{PATH}?{query}", headers=header)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
