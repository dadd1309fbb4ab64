"""A refusal's line says who was refused, from where and why; a flood of refusals writes few lines; 201 costs nothing more."""

from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any, ClassVar

import httpx
import pytest
from litestar import get, post
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from cafeteria.chassis.app import AppContext, ServiceApp
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.tokens import requires
from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.observability.logs import bind
from cafeteria.chassis.observability.security_log import LINES_PER_S
from cafeteria.chassis.runtime.errors import Forbidden, ServiceError
from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.chassis.runtime.settings import Network, ServiceSettings, load_settings
from cafeteria.contracts.problems import ProblemCode
from cafeteria.contracts.values import Role

FORWARDED = {"x-forwarded-for": "203.0.113.7"}


class Limited(ServiceError):
    code: ClassVar[ProblemCode] = ProblemCode.TOO_MANY_ATTEMPTS
    status = 429


class LoginRefused(ServiceError):
    code: ClassVar[ProblemCode] = ProblemCode.INVALID_CREDENTIALS
    status = 401
    security_event = SecurityEvent.LOGIN_FAILED


@get("/kitchen", before_request=requires(Role.KITCHEN))
async def kitchen() -> str:
    return "a ticket"


@post("/orders", before_request=requires())
async def order() -> str:
    return "an order"


@post("/limited", before_request=requires())
async def limited() -> str:
    raise Limited("This is the limit of the day.")


@post("/login")
async def log_in() -> str:
    bind(subject="210041199")
    raise LoginRefused("The student id or the password is wrong.")


@post("/hidden")
async def hide() -> str:
    raise Forbidden("Nobody may do this.")


@pytest.fixture
async def app(make_app: Callable[..., ServiceApp], signer: Any) -> ServiceApp:
    keys = KeySource(signer.fetch)
    await keys.refresh()
    return make_app(kitchen, order, limited, log_in, hide, keys=keys)


@pytest.fixture
async def client(app: ServiceApp, connect: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(app) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def line_of(client: httpx.AsyncClient, method: str, path: str, **headers: str) -> dict[str, Any]:
    with capture_logs() as lines:
        await client.request(method, path, headers=headers)
    (line,) = [dict(each) for each in lines if each["event"] == "request_answered"]
    return line


async def test_a_refused_role_is_logged_with_subject_address_and_reason(
    client: httpx.AsyncClient, signer: Any
) -> None:
    line = await line_of(client, "GET", "/kitchen", **bearer(signer.token()))
    assert (line["status"], line["security_event"]) == (403, "role_refused")
    assert (line["subject"], line["client"]) == ("210041101", "127.0.0.1")
    assert line["reason"] == "This needs the role kitchen; you are student."


async def test_a_reached_limit_is_logged_with_subject_and_address(
    client: httpx.AsyncClient, signer: Any
) -> None:
    line = await line_of(client, "POST", "/limited", **bearer(signer.token()))
    assert (line["status"], line["security_event"]) == (429, "limit_reached")
    assert (line["subject"], line["client"]) == ("210041101", "127.0.0.1")


@pytest.mark.parametrize("authorization", [None, "Basic eDp5", "Bearer forged"])
async def test_a_refused_token_is_logged_with_the_address_and_without_a_subject_or_the_token(
    client: httpx.AsyncClient, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    line = await line_of(client, "GET", "/kitchen", **headers)
    assert (line["status"], line["security_event"]) == (401, "access_token_refused")
    assert line["client"] == "127.0.0.1"
    assert "subject" not in line
    assert "forged" not in repr(line)
    assert "eDp5" not in repr(line)


async def test_an_unverified_token_names_nobody(client: httpx.AsyncClient, make_signer: Any) -> None:
    line = await line_of(client, "GET", "/kitchen", **bearer(make_signer().token(sub="operator-1")))
    assert line["status"] == 401
    assert "operator-1" not in repr(line)


async def test_a_refused_origin_is_logged_with_the_subject_of_the_cookie(
    client: httpx.AsyncClient, signer: Any
) -> None:
    cookie = f"cafeteria_access={signer.token()}"
    line = await line_of(client, "POST", "/orders", cookie=cookie, origin="https://evil.example")
    assert (line["status"], line["security_event"]) == (403, "origin_refused")
    assert (line["subject"], line["client"]) == ("210041101", "127.0.0.1")


async def test_a_refused_preflight_is_an_origin_refusal(client: httpx.AsyncClient) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    line = await line_of(client, "OPTIONS", "/orders", **headers)
    assert (line["status"], line["security_event"]) == (403, "origin_refused")


async def test_a_refusal_may_name_its_own_event_and_the_id_that_was_tried(client: httpx.AsyncClient) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        await client.post("/login")
    (line,) = lines
    assert (line["security_event"], line["subject"]) == ("login_failed", "210041199")


async def test_an_accepted_request_says_nothing_of_it(client: httpx.AsyncClient, signer: Any) -> None:
    line = await line_of(client, "POST", "/orders", **bearer(signer.token()), **FORWARDED)
    assert line.keys() == {"event", "log_level", "method", "route", "status", "duration_ms", "subject"}


async def test_only_a_trusted_proxy_says_who_the_client_is(
    make_app: Callable[..., ServiceApp], connect: Any, environ: dict[str, str], client: httpx.AsyncClient
) -> None:
    untrusted = await line_of(client, "POST", "/hidden", **FORWARDED)
    assert untrusted["client"] == "127.0.0.1"
    behind = load_settings(ServiceSettings, {**environ, "CAFETERIA_TRUSTED_PROXIES": "127.0.0.0/8"})
    async with connect(make_app(hide, settings=behind)) as proxied:
        assert (await line_of(proxied, "POST", "/hidden", **FORWARDED))["client"] == "203.0.113.7"


async def test_a_service_may_have_proxies_of_its_own_and_name_every_client(
    make_app: Callable[..., ServiceApp], connect: Any
) -> None:
    context = AppContext(proxies=TrustedProxies([Network("127.0.0.1")]), logs_clients=True)
    async with connect(make_app(hide, context=context)) as client:
        assert (await line_of(client, "POST", "/hidden", **FORWARDED))["client"] == "203.0.113.7"
        assert (await line_of(client, "GET", "/health/live", **FORWARDED))["client"] == "203.0.113.7"


async def test_a_flood_of_refusals_writes_few_lines_and_counts_all(
    client: httpx.AsyncClient, app: ServiceApp
) -> None:
    flood, started_at = LINES_PER_S * 20, monotonic()
    with capture_logs() as lines:
        for _ in range(flood):
            await client.get("/kitchen", headers={"authorization": "Bearer x"})
    seconds_begun = int(monotonic() - started_at) + 2
    assert LINES_PER_S <= len(lines) <= LINES_PER_S * seconds_begun
    counted = app.registry.get_sample_value(
        "cafeteria_security_events_total", {"event": "access_token_refused"}
    )
    assert counted == flood


@pytest.mark.parametrize(
    "request_line",
    [("GET", "/nowhere"), ("PATCH", "/login"), ("POST", "/login?a=%ff"), ("GET", "/kitchen")],
)
async def test_every_cheap_refusal_is_thinned_out(
    client: httpx.AsyncClient, request_line: tuple[str, str]
) -> None:
    started_at = monotonic()
    with capture_logs() as lines:
        for _ in range(LINES_PER_S * 10):
            await client.request(*request_line)
    assert len(lines) <= LINES_PER_S * (int(monotonic() - started_at) + 2)
