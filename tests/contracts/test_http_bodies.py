"""The bodies of all HTTP requests and answers are exactly those of the contracts.

Services accept the golden requests, answer with the contract's fields and no others, and refuse an unknown field by its
name. The published documents describe each exchange, and a service refuses what its document refuses.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import pytest

from cafeteria.contracts import gateway, identity, kitchen, notification, ops, problems, stock, subjects
from cafeteria.contracts.values import Role
from cafeteria.provisioning.plain_http import plain_http

TIMEOUT_S = 20.0
STUDENT = "210041101"
PASSWORD = "iftar-rush-2026"


class Stack:
    """All five services over HTTP, with a token for each role."""

    def __init__(self, urls: dict[str, str], tokens: Any, published: Any) -> None:
        self._published = published
        self.web = {service: plain_http(base_url=url, timeout_s=TIMEOUT_S) for service, url in urls.items()}
        self._tokens = {
            Role.STUDENT: tokens.student(STUDENT),
            Role.KITCHEN: tokens.kitchen(),
            Role.OPERATOR: tokens.operator(),
        }

    async def send(
        self,
        service: str,
        route: str,
        body: Any = None,
        *,
        role: Role | None = Role.STUDENT,
        key: str = "golden",
    ) -> httpx.Response:
        method, path = route.split(" ")
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if role:
            headers["Authorization"] = f"Bearer {self._tokens[role]}"
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        answer = await self.web[service].request(method, path, content=content, headers=headers)
        self._published.hold(service, answer)
        return answer

    async def get(self, service: str, path: str, kind: Any, *, role: Role | None = Role.STUDENT) -> Any:
        answer = await self.send(service, f"GET {path}", role=role)
        assert answer.status_code == httpx.codes.OK, answer.text
        return exactly(answer, kind)

    async def close(self) -> None:
        for web in self.web.values():
            await web.aclose()


def exactly(answer: httpx.Response, kind: Any) -> Any:
    """The decoded body; encoded again, it has the same bytes."""
    decoded = msgspec.json.decode(answer.content, type=kind)
    assert msgspec.json.encode(decoded) == answer.content
    return decoded


@pytest.fixture
async def stack(all_services: dict[str, str], tokens: Any, published: Any) -> AsyncIterator[Stack]:
    stack = Stack(all_services, tokens, published)
    yield stack
    await stack.close()


async def test_stocks_bodies(stack: Stack, golden: Any) -> None:
    async def send(route: str, body: bytes) -> stock.Item:
        answer = await stack.send(subjects.STOCK, route, body, role=Role.OPERATOR)
        assert answer.is_success, answer.text
        item: stock.Item = exactly(answer, stock.Item)
        return item

    item = await send("POST /v1/items", golden(stock.CreateItem)[""])
    for change in golden(stock.ChangeItem).values():
        await send(f"PATCH /v1/items/{item.id}", change)
    restocked = await send(f"POST /v1/items/{item.id}/restock", golden(stock.Restock)[""])
    assert (restocked.quantity, restocked.on_sale, restocked.available) == (1250, False, 0)
    items = await stack.get(subjects.STOCK, "/v1/items", stock.Items, role=Role.OPERATOR)
    assert restocked in items.items
    await stack.get(
        subjects.STOCK, f"/v1/items/{item.id}/transactions", stock.StockTransactions, role=Role.OPERATOR
    )


async def test_identitys_bodies(stack: Stack, golden: Any) -> None:
    accounts = [*golden(identity.CreateStudent).values()]
    accounts.append(msgspec.json.encode({"student_id": STUDENT, "password": PASSWORD}))
    for account in accounts:
        answer = await stack.send(subjects.IDENTITY, "POST /v1/students", account, role=Role.OPERATOR)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        exactly(answer, identity.Student)
    for login in golden(identity.Login).values():
        answer = await stack.send(subjects.IDENTITY, "POST /v1/login", login, role=None)
        assert answer.status_code == httpx.codes.OK, answer.text
        has_tokens = msgspec.json.decode(login, type=identity.Login).tokens
        exactly(answer, identity.Tokens if has_tokens else identity.Session)
    change = golden(identity.ChangePassword)[""]
    changed = await stack.send(subjects.IDENTITY, "PUT /v1/me/password", change)
    assert changed.status_code == httpx.codes.NO_CONTENT, changed.text
    other = msgspec.json.decode(accounts[0], type=identity.CreateStudent).student_id
    for change in golden(identity.ChangeStudent).values():
        answer = await stack.send(
            subjects.IDENTITY, f"PATCH /v1/students/{other}", change, role=Role.OPERATOR
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        exactly(answer, identity.StudentAccount)
    reset = f"POST /v1/students/{other}/reset-password"
    exactly(await stack.send(subjects.IDENTITY, reset, role=Role.OPERATOR), identity.OneTimePassword)
    await stack.get(subjects.IDENTITY, "/v1/me", identity.Student)
    students = await stack.get(subjects.IDENTITY, "/v1/students", identity.Students, role=Role.OPERATOR)
    assert {STUDENT} <= {account.student_id for account in students.items}
    logins = f"/v1/students/{STUDENT}/logins"
    await stack.get(subjects.IDENTITY, logins, identity.LoginAttempts, role=Role.OPERATOR)
    await stack.get(subjects.IDENTITY, "/.well-known/jwks.json", identity.Jwks, role=None)
    refused = await stack.send(
        subjects.IDENTITY, "POST /v1/token/refresh", golden(identity.RefreshToken)[""], role=None
    )
    assert refused.status_code == httpx.codes.UNAUTHORIZED
    gone = await stack.send(subjects.IDENTITY, "POST /v1/logout", golden(identity.Logout)[""], role=None)
    assert gone.status_code == httpx.codes.NO_CONTENT


async def test_an_orders_bodies_at_three_services(
    stack: Stack, golden: Any, add_items: Any, wait_until: Any
) -> None:
    body = golden(gateway.PlaceOrder)[""]
    await add_items(msgspec.json.decode(body, type=gateway.PlaceOrder).lines)
    answer = await stack.send(subjects.GATEWAY, "POST /v1/orders", body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    order = exactly(answer, gateway.Order)
    assert (await stack.get(subjects.GATEWAY, f"/v1/orders/{order.id}", gateway.Order)).lines == order.lines
    await stack.get(subjects.GATEWAY, "/v1/orders", gateway.Orders)
    await stack.get(subjects.GATEWAY, "/v1/menu", gateway.Menu, role=None)

    async def ticket() -> Any:
        return (await stack.get(subjects.KITCHEN, "/v1/tickets", kitchen.Tickets, role=Role.KITCHEN)).items

    assert (await wait_until(ticket))[0].order_id == order.id
    await stack.get(subjects.KITCHEN, "/v1/load", kitchen.Load, role=Role.KITCHEN)

    async def notified() -> Any:
        return (await stack.get(subjects.NOTIFICATION, "/v1/notifications", notification.Notifications)).items

    assert {one.order_id for one in await wait_until(notified)} == {order.id}

    for service in (subjects.GATEWAY, subjects.STOCK, subjects.KITCHEN, subjects.NOTIFICATION):
        path = f"/v1/ops/{service}/orders/{order.id}"
        trace = await stack.get(service, path, ops.OrderTrace, role=Role.OPERATOR)
        assert (trace.service, trace.order_id, bool(trace.facts)) == (service, order.id, True)
    path = f"/v1/ops/{subjects.GATEWAY}/orders?student_id={STUDENT}"
    theirs = await stack.get(subjects.GATEWAY, path, gateway.Orders, role=Role.OPERATOR)
    assert [each.id for each in theirs.items] == [order.id]

    async def is_counted() -> bool:
        path = f"/v1/ops/{subjects.GATEWAY}"
        pulse = await stack.get(subjects.GATEWAY, path, ops.ServicePulse, role=Role.OPERATOR)
        return any(second.figures["orders_per_s"] > 0 for second in pulse.seconds)

    await wait_until(is_counted)


BEHIND = {"outbox_rows", "outbox_oldest_s", "group_pending", "dead_letters", "missing_messages"}
FIGURES = {
    subjects.GATEWAY: BEHIND | {"orders_per_s", "pending_orders"},
    subjects.IDENTITY: set(),
    subjects.STOCK: {"group_pending"},
    subjects.KITCHEN: BEHIND,
    subjects.NOTIFICATION: {"reader_lag", "open_streams", "dead_letters"},
}


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_what_an_operator_reads_of_each_service(stack: Stack, wait_until: Any, service: str) -> None:
    async def pulse() -> Any:
        return await stack.get(service, f"/v1/ops/{service}", ops.ServicePulse, role=Role.OPERATOR)

    async def has_all_figures() -> bool:
        return FIGURES[service] <= (await pulse()).figures.keys()

    await wait_until(has_all_figures)
    found = await pulse()
    assert found.figures.keys() == FIGURES[service]
    assert (found.service, found.health.status, found.is_slow) == (service, "ok", False)
    assert set(found.health.dependencies) >= {"postgres", "nats", "keys"}


REQUESTS = [
    (subjects.GATEWAY, "POST /v1/orders", gateway.PlaceOrder, Role.STUDENT),
    (subjects.STOCK, "POST /v1/items", stock.CreateItem, Role.OPERATOR),
    (subjects.STOCK, "PATCH /v1/items/0193a400-0000-7000-8000-00000000000f", stock.ChangeItem, Role.OPERATOR),
    (
        subjects.STOCK,
        "POST /v1/items/0193a400-0000-7000-8000-00000000000f/restock",
        stock.Restock,
        Role.OPERATOR,
    ),
    (subjects.IDENTITY, "POST /v1/login", identity.Login, None),
    (subjects.IDENTITY, "POST /v1/token/refresh", identity.RefreshToken, None),
    (subjects.IDENTITY, "POST /v1/logout", identity.Logout, None),
    (subjects.IDENTITY, "PUT /v1/me/password", identity.ChangePassword, Role.STUDENT),
    (subjects.IDENTITY, "POST /v1/students", identity.CreateStudent, Role.OPERATOR),
    (subjects.IDENTITY, "PATCH /v1/students/210041101", identity.ChangeStudent, Role.OPERATOR),
]


@pytest.mark.parametrize(("service", "route", "kind", "role"), REQUESTS)
async def test_an_unknown_field_is_refused_by_its_name(
    stack: Stack, golden: Any, service: str, route: str, kind: Any, role: Role | None
) -> None:
    fields = {**msgspec.json.decode(golden(kind)[""]), "quanttiy": 1}
    answer = await stack.send(service, route, fields, role=role, key="misspelt")
    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text
    problem = exactly(answer, problems.Problem)
    assert problem.type == problems.problem_type(problems.ProblemCode.INVALID_REQUEST)
    assert "quanttiy" in f"{problem.detail} {problem.errors}"


async def test_a_misspelt_field_in_a_line_is_refused_too(stack: Stack, golden: Any) -> None:
    fields = msgspec.json.decode(golden(gateway.PlaceOrder)[""])
    fields["lines"][0]["quanttiy"] = 3
    answer = await stack.send(subjects.GATEWAY, "POST /v1/orders", fields, key="misspelt")
    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text


def mutants(value: dict[str, Any]) -> Iterator[Any]:
    """Bodies like `value` that are wrong in one place each."""
    yield from ([], "text", 17, None, [value])
    for name, member in value.items():
        for wrong in wrong_values(member):
            yield {**value, name: wrong}
    if isinstance(value.get("lines"), list):
        [line, *_] = value["lines"]
        for wrong_line in mutants(line):
            yield {"lines": [wrong_line]}
        yield {"lines": [line] * 21}


def wrong_values(member: Any) -> Iterator[Any]:
    yield from ({}, [], [[member]], [17], "\n")
    if isinstance(member, bool):
        yield from (0, 1, "true")
    elif isinstance(member, int):
        yield from (str(member), True, member + 0.5, -1, 10**7, 10**40)
    elif isinstance(member, str):
        yield from ("", f"{member}\n", f"{member}x" * 300, -3.5, True)


@pytest.mark.parametrize(("service", "route", "kind", "role"), REQUESTS)
async def test_what_the_document_refuses_the_service_refuses(
    stack: Stack, golden: Any, published: Any, service: str, route: str, kind: Any, role: Role | None
) -> None:
    """The reverse does not hold: no schema can express that an item occurs in two lines, or that a name is blank."""
    schema = published.body_schema(service, *route.split(" "))
    bodies = mutants(msgspec.json.decode(golden(kind)[""]))
    refused = [body for body in bodies if published.faults(service, schema, body)]
    answers = [(body, await stack.send(service, route, body, role=role, key="wrong")) for body in refused]
    accepted = [(body, answer) for body, answer in answers if answer.status_code != httpx.codes.BAD_REQUEST]
    assert len(refused) > 5
    assert accepted == []
