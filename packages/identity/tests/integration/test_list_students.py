"""Operators find accounts: by a part of the id or the name, in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Identity


class Operator:
    """Reads the list as an operator."""

    def __init__(self, identity: Identity, header: dict[str, str]) -> None:
        self._identity = identity
        self._header = header

    async def get(self, **parameters: Any) -> Any:
        return await self._identity.web.get("/v1/students", params=parameters, headers=self._header)

    async def ids(self, **parameters: Any) -> list[str]:
        """The student ids of one page."""
        answer = await self.get(**parameters)
        assert answer.status_code == 200, answer.text
        return [item["student_id"] for item in answer.json()["items"]]


@pytest.fixture
async def operator(identity: Identity, tokens: Tokens) -> Operator:
    return Operator(identity, tokens.header(tokens.operator()))


async def test_an_operator_sees_all_accounts_newest_first_without_secrets(
    identity: Identity, operator: Operator
) -> None:
    await identity.add_user(full_name="Ada")
    await identity.add_user("kitchen-1", role="kitchen", disabled=True)
    answer = await operator.get()
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"items", "next_cursor"}
    assert body["next_cursor"] is None
    created = [item.pop("created_at") for item in body["items"]]
    assert created == sorted(created, reverse=True)
    assert body["items"] == [
        {"student_id": "kitchen-1", "role": "kitchen", "full_name": None, "disabled": True},
        {"student_id": "210041101", "role": "student", "full_name": "Ada", "disabled": False},
    ]
    assert "argon2" not in answer.text


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", {"210041101", "210041102", "kitchen-1", "odd-1"}),
        ("  ", {"210041101", "210041102", "kitchen-1", "odd-1"}),
        ("4110", {"210041101", "210041102"}),
        ("KITCHEN", {"kitchen-1"}),
        ("ada", {"210041101"}),
        (" LOVELACE ", {"210041101"}),
        ("zoe\u0308", {"210041102"}),
        ("ZOË", {"210041102"}),
        ("আয়", {"kitchen-1"}),
        ("%", {"odd-1"}),
        ("_", {"odd-1"}),
        ("/", {"odd-1"}),
        ("\\", {"odd-1"}),
        ("100%_", {"odd-1"}),
        ("2%1", set()),
        ("21004110_", set()),
        ("'; DROP TABLE users; --", set()),
    ],
)
async def test_a_search_text_is_part_of_the_id_or_the_name_in_any_case(
    identity: Identity, operator: Operator, search: str, found: list[str]
) -> None:
    await identity.add_user("210041101", full_name="Ada Lovelace")
    await identity.add_user("210041102", full_name="Zoë Ng")
    await identity.add_user("kitchen-1", full_name="রুমানা আয়না", role="kitchen")
    await identity.add_user("odd-1", full_name="100%_of \\ and /")
    assert set(await operator.ids(search=search)) == found


async def test_the_pages_have_no_gap_and_no_repeat_while_students_are_created(
    identity: Identity, operator: Operator
) -> None:
    there = [f"2100411{number:02}" for number in range(7)]
    for student_id in there:
        await identity.add_user(student_id)
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = (await operator.get(limit=2, **({"cursor": cursor} if cursor else {}))).json()
        seen += [item["student_id"] for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
        await identity.add_user(f"2100400{pages}")
        await identity.add_user(f"2100499{pages}")
    assert pages == 4
    assert seen == there[::-1]


async def test_a_search_has_pages_of_its_own(identity: Identity, operator: Operator) -> None:
    for number in range(6):
        await identity.add_user(f"2100411{number}", full_name="even" if number % 2 == 0 else "odd")
    first = (await operator.get(search="even", limit=2)).json()
    second = (await operator.get(search="even", limit=2, cursor=first["next_cursor"])).json()
    assert [item["student_id"] for item in first["items"]] == ["21004114", "21004112"]
    assert [item["student_id"] for item in second["items"]] == ["21004110"]
    assert second["next_cursor"] is None


async def test_a_full_last_page_has_no_next_one(identity: Identity, operator: Operator) -> None:
    await identity.add_user("210041101")
    await identity.add_user("210041102")
    assert (await operator.get(limit=2)).json()["next_cursor"] is None
    assert (await operator.get(limit=1)).json()["next_cursor"] is not None


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"role": "operator"}, ["operator-1", "operator-2"]),
        ({"role": "operator", "disabled": "true"}, ["operator-2"]),
        ({"role": "operator", "disabled": "false"}, ["operator-1"]),
        ({"disabled": "true", "search": "OPERATOR"}, ["operator-2"]),
        ({"disabled": "true"}, ["210041102", "operator-2"]),
        ({"role": "kitchen"}, []),
    ],
    ids=str,
)
async def test_the_list_is_filtered_by_role_and_by_whether_an_account_is_disabled(
    identity: Identity, operator: Operator, filters: dict[str, str], found: list[str]
) -> None:
    await identity.add_user("210041101")
    await identity.add_user("210041102", disabled=True)
    await identity.add_user("operator-1", role="operator")
    await identity.add_user("operator-2", role="operator", disabled=True)
    assert sorted(await operator.ids(**filters)) == found


async def test_only_operators_read_the_list(identity: Identity, tokens: Tokens) -> None:
    for token in (tokens.student(), tokens.kitchen()):
        answer = await identity.web.get("/v1/students", headers=tokens.header(token))
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    assert (await identity.web.get("/v1/students")).status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "cursor=",
        "cursor=x",
        "cursor=AAAAAAAAAAAAAAAAAAAAA%0A",
        "limit=0",
        "limit=201",
        "limit=1e1",
        "search=%00",
        "role=king",
        "disabled=perhaps",
        "search=%ff",
        "search=a&search=b",
        "search=" + "x" * 121,
    ],
)
async def test_a_malformed_query_is_refused(identity: Identity, tokens: Tokens, query: str) -> None:
    answer = await identity.web.get(f"/v1/students?{query}", headers=tokens.header(tokens.operator()))
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")


async def test_without_postgres_the_list_is_unavailable_and_then_back(
    identity: Identity, operator: Operator, servers: FixtureServers
) -> None:
    await identity.add_user()
    assert await operator.ids() == ["210041101"]
    await servers.postgres.stop()
    refused = await operator.get()
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
    await servers.postgres.start()

    async def is_back() -> bool:
        return bool((await operator.get()).status_code == 200)

    await until(is_back)
    assert await operator.ids() == ["210041101"]
