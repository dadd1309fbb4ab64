"""What happens to accounts is in the log, with the account and the address, and nothing that a client made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Identity, OpenIdentity

STUDENT, PASSWORD = "210041101", "iftar-rush-2026"


def events(lines: list[Any], name: str) -> list[Any]:
    return [line for line in lines if line.get("security_event") == name]


async def test_a_failed_login_names_the_id_that_was_tried_and_the_address(
    open_identity: OpenIdentity,
) -> None:
    identity = await open_identity(IDENTITY_TRUSTED_PROXIES="127.0.0.0/8")
    await identity.add_user()
    web = identity.another_client(address="203.0.113.7")
    with capture_logs(processors=[merge_contextvars]) as lines:
        await identity.login(password="not-the-password", web=web)
        await identity.login("999999999", web=web)
    failed = events(lines, "login_failed")
    assert [(line["subject"], line["client"], line["status"]) for line in failed] == [
        ("210041101", "203.0.113.7", 401),
        ("999999999", "203.0.113.7", 401),
    ]


async def test_the_limit_of_logins_names_the_id_and_the_address(identity: Identity) -> None:
    await identity.add_user()
    with capture_logs(processors=[merge_contextvars]) as lines:
        for _ in range(4):
            await identity.login()
    (limited,) = events(lines, "login_limited")
    assert (limited["subject"], limited["client"], limited["status"]) == ("210041101", "127.0.0.1", 429)
    succeeded = events(lines, "login_succeeded")
    assert [(line["subject"], line["event"]) for line in succeeded] == [("210041101", "login_succeeded")] * 3


async def test_what_has_not_the_form_of_an_id_is_in_no_line(identity: Identity) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        for forged in ('x"}\n{"event":"account_created', "iftar rush", "a" * 33, "😀", ""):
            answer = await identity.login(forged)
            assert answer.status_code == 400
    assert not any("subject" in line for line in lines)
    assert "account_created" not in repr(lines)
    assert "iftar rush" not in repr(lines)


async def test_the_lines_of_a_login_and_of_its_request_belong_together(identity: Identity) -> None:
    await identity.add_user()
    with capture_logs(processors=[merge_contextvars]) as lines:
        await identity.signed_in()
    (opened,) = events(lines, "login_succeeded")
    (answered,) = [line for line in lines if line["event"] == "request_answered"]
    assert opened["request_id"] == answered["request_id"]
    assert (answered["client"], answered["subject"]) == ("127.0.0.1", "210041101")
    assert opened["session"]


async def test_a_reused_refresh_token_is_an_alarm_with_the_account_and_the_session(
    identity: Identity,
) -> None:
    await identity.add_user()
    first = await identity.signed_in()
    await identity.refresh(first["refresh_token"])
    await identity.database.execute("UPDATE identity.refresh_tokens SET used_at = used_at - interval '11 s'")
    with capture_logs(processors=[merge_contextvars]) as lines:
        await identity.refresh(first["refresh_token"])
        await identity.refresh("no-such-token")
    (reused,) = events(lines, "refresh_token_reused")
    assert (reused["subject"], reused["log_level"]) == ("210041101", "warning")
    known, unknown = events(lines, "refresh_token_refused")
    assert (known["subject"], known["client"]) == ("210041101", "127.0.0.1")
    assert "subject" not in unknown
    assert first["refresh_token"] not in repr(lines)


async def test_a_new_account_is_in_the_log_with_who_made_it(identity: Identity, tokens: Tokens) -> None:
    body = {"student_id": "210041177", "password": "a-long-password"}
    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = await identity.web.post("/v1/students", json=body, headers=tokens.header(tokens.operator()))
    assert answer.status_code == 201
    (created,) = events(lines, "account_created")
    (answered,) = [line for line in lines if line["event"] == "request_answered"]
    assert (created["subject"], created["role"]) == ("210041177", "student")
    assert (answered["subject"], answered["client"]) == ("operator-1", "127.0.0.1")
    assert created["request_id"] == answered["request_id"]


async def test_a_foreign_page_and_a_student_are_refused_by_name(identity: Identity, tokens: Tokens) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        await identity.web.get("/v1/students", headers=tokens.header(tokens.student("210041101")))
        await identity.web.post(
            "/v1/login",
            json={"student_id": "210041101", "password": "x", "cookie": True},
            headers={"Origin": "https://evil.example"},
        )
    (role,) = events(lines, "role_refused")
    assert (role["subject"], role["client"]) == ("210041101", "127.0.0.1")
    (origin,) = events(lines, "origin_refused")
    assert origin["client"] == "127.0.0.1"


async def test_each_change_of_an_account_is_an_event_with_who_made_it(
    identity: Identity, tokens: Tokens
) -> None:
    await identity.add_user()
    await identity.add_user("operator-1", role="operator")
    operator = tokens.header(tokens.operator())
    account = f"/v1/students/{STUDENT}"
    changes = [
        ("PATCH", account, {"role": "kitchen"}, "role_changed"),
        ("PATCH", account, {"disabled": True}, "account_disabled"),
        ("PATCH", account, {"disabled": False}, "account_enabled"),
        ("POST", f"{account}/reset-password", None, "password_reset"),
        ("DELETE", f"{account}/sessions", None, "sessions_ended"),
    ]
    for method, path, body, name in changes:
        with capture_logs(processors=[merge_contextvars]) as lines:
            answer = await identity.web.request(method, path, json=body, headers=operator)
        assert answer.is_success, answer.text
        (event,) = events(lines, name)
        assert (event["event"], event["subject"], event["operator"]) == (name, STUDENT, "operator-1")
        assert "one_time_password" not in repr(lines)


async def test_a_change_that_changes_nothing_is_no_event(identity: Identity, tokens: Tokens) -> None:
    await identity.add_user()
    with capture_logs(processors=[merge_contextvars]) as lines:
        body = {"role": "student", "disabled": False, "full_name": "Ada"}
        await identity.web.patch(
            f"/v1/students/{STUDENT}", json=body, headers=tokens.header(tokens.operator())
        )
    assert not [line for line in lines if "security_event" in line]


async def test_a_person_who_changes_the_password_or_signs_out_is_in_the_log(identity: Identity) -> None:
    await identity.add_user()
    session = await identity.signed_in()
    own = {"Authorization": f"Bearer {session['access_token']}"}
    with capture_logs(processors=[merge_contextvars]) as lines:
        for old in ("not-the-password", PASSWORD):
            body = {"old_password": old, "new_password": "another-long-password"}
            await identity.web.put("/v1/me/password", json=body, headers=own)
        for _ in range(2):
            await identity.web.post("/v1/logout", json={"refresh_token": session["refresh_token"]})
    names = [line["security_event"] for line in lines if "security_event" in line]
    assert names == ["login_failed", "password_changed", "session_ended"]
    assert {line["subject"] for line in lines if "security_event" in line} == {STUDENT}
    assert "another-long-password" not in repr(lines)
