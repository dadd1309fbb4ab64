"""What the HTTP doors take and give are the contract's bodies, exactly: golden requests are understood, replies
have the contract's fields and no others, and a field that nobody knows is refused by name. Each exchange is one that
the published documents name; what they refuse, the services refuse.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import pytest

from cafeteria.contracts import gateway, identity, kitchen, notification, problems, stock, subjects
from cafeteria.contracts.values import Role
from cafeteria.provisioning.plain_http import plain_http

TIMEOUT_S = 20.0
STUDENT = "210041101"
PASSWORD = "iftar-rush-2026"


class Campus:
    """All five services, and people at their doors."""

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
    """Decoded; the reply says in its own bytes what it says decoded."""
    decoded = msgspec.json.decode(answer.content, type=kind)
    assert msgspec.json.encode(decoded) == answer.content
    return decoded


@pytest.fixture
async def campus(all_services: dict[str, str], tokens: Any, published: Any) -> AsyncIterator[Campus]:
    campus = Campus(all_services, tokens, published)
    yield campus
    await campus.close()


async def test_stocks_bodies(campus: Campus, golden: Any) -> None:
    async def send(route: str, body: bytes) -> stock.Item:
        answer = await campus.send(subjects.STOCK, route, body, role=Role.OPERATOR)
        assert answer.is_success, answer.text
        item: stock.Item = exactly(answer, stock.Item)
        return item

    item = await send("POST /v1/items", golden(stock.CreateItem)[""])
    for change in golden(stock.ChangeItem).values():
        await send(f"PATCH /v1/items/{item.id}", change)
    restocked = await send(f"POST /v1/items/{item.id}/restock", golden(stock.Restock)[""])
    assert (restocked.quantity, restocked.on_sale, restocked.available) == (1250, False, 0)
    items = await campus.get(subjects.STOCK, "/v1/items", stock.Items, role=Role.OPERATOR)
    assert restocked in items.items
    await campus.get(
        subjects.STOCK, f"/v1/items/{item.id}/transactions", stock.StockTransactions, role=Role.OPERATOR
    )


async def test_identitys_bodies(campus: Campus, golden: Any) -> None:
    newcomers = [*golden(identity.CreateStudent).values()]
    newcomers.append(msgspec.json.encode({"student_id": STUDENT, "password": PASSWORD}))
    for newcomer in newcomers:
        answer = await campus.send(subjects.IDENTITY, "POST /v1/students", newcomer, role=Role.OPERATOR)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        exactly(answer, identity.Student)
    for login in golden(identity.Login).values():
        answer = await campus.send(subjects.IDENTITY, "POST /v1/login", login, role=None)
        assert answer.status_code == httpx.codes.OK, answer.text
        exactly(answer, identity.Tokens)
    await campus.get(subjects.IDENTITY, "/v1/me", identity.Student)
    students = await campus.get(subjects.IDENTITY, "/v1/students", identity.Students, role=Role.OPERATOR)
    assert {STUDENT} <= {account.student_id for account in students.items}
    logins = f"/v1/students/{STUDENT}/logins"
    await campus.get(subjects.IDENTITY, logins, identity.LoginAttempts, role=Role.OPERATOR)
    await campus.get(subjects.IDENTITY, "/.well-known/jwks.json", identity.Jwks, role=None)
    refused = await campus.send(
        subjects.IDENTITY, "POST /v1/token/refresh", golden(identity.RefreshToken)[""], role=None
    )
    assert refused.status_code == httpx.codes.UNAUTHORIZED
    gone = await campus.send(subjects.IDENTITY, "POST /v1/logout", golden(identity.Logout)[""], role=None)
    assert gone.status_code == httpx.codes.NO_CONTENT


async def test_an_orders_bodies_at_three_services(
    campus: Campus, golden: Any, put_on_the_menu: Any, wait_until: Any
) -> None:
    body = golden(gateway.PlaceOrder)[""]
    await put_on_the_menu(msgspec.json.decode(body, type=gateway.PlaceOrder).lines)
    answer = await campus.send(subjects.GATEWAY, "POST /v1/orders", body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    order = exactly(answer, gateway.Order)
    assert (await campus.get(subjects.GATEWAY, f"/v1/orders/{order.id}", gateway.Order)).lines == order.lines
    await campus.get(subjects.GATEWAY, "/v1/orders", gateway.Orders)
    await campus.get(subjects.GATEWAY, "/v1/menu", gateway.Menu, role=None)

    async def ticket() -> Any:
        return (await campus.get(subjects.KITCHEN, "/v1/tickets", kitchen.Tickets, role=Role.KITCHEN)).items

    assert (await wait_until(ticket))[0].order_id == order.id
    await campus.get(subjects.KITCHEN, "/v1/load", kitchen.Load, role=Role.KITCHEN)

    async def notified() -> Any:
        return (
            await campus.get(subjects.NOTIFICATION, "/v1/notifications", notification.Notifications)
        ).items

    assert {one.order_id for one in await wait_until(notified)} == {order.id}


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
    (subjects.IDENTITY, "POST /v1/students", identity.CreateStudent, Role.OPERATOR),
]


@pytest.mark.parametrize(("service", "route", "kind", "role"), REQUESTS)
async def test_a_field_that_nobody_knows_is_refused_by_name(
    campus: Campus, golden: Any, service: str, route: str, kind: Any, role: Role | None
) -> None:
    fields = {**msgspec.json.decode(golden(kind)[""]), "quanttiy": 1}
    answer = await campus.send(service, route, fields, role=role, key="misspelt")
    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text
    problem = exactly(answer, problems.Problem)
    assert problem.type == problems.problem_type(problems.ProblemCode.INVALID_REQUEST)
    assert "quanttiy" in f"{problem.detail} {problem.errors}"


async def test_a_misspelt_field_in_a_line_is_refused_too(campus: Campus, golden: Any) -> None:
    fields = msgspec.json.decode(golden(gateway.PlaceOrder)[""])
    fields["lines"][0]["quanttiy"] = 3
    answer = await campus.send(subjects.GATEWAY, "POST /v1/orders", fields, key="misspelt")
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
    campus: Campus, golden: Any, published: Any, service: str, route: str, kind: Any, role: Role | None
) -> None:
    """The reverse does not hold: that an item stands in two lines, or a name is blank, no schema says."""
    schema = published.body_schema(service, *route.split(" "))
    bodies = mutants(msgspec.json.decode(golden(kind)[""]))
    refused = [body for body in bodies if published.faults(service, schema, body)]
    answers = [(body, await campus.send(service, route, body, role=role, key="wrong")) for body in refused]
    taken = [(body, answer) for body, answer in answers if answer.status_code != httpx.codes.BAD_REQUEST]
    assert len(refused) > 5
    assert taken == []
