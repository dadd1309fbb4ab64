"""`GET /v1/ops/<service>`: for the operator alone, of one process, without a dependency but in its health."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import isnan
from time import monotonic, perf_counter
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Stream
from structlog.testing import capture_logs

from cafeteria.chassis.app import AppContext, ServiceApp
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.http.pulse_snapshot import Answers
from cafeteria.chassis.messaging.lag import READER_LAG
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.metrics import SECONDS_BUCKETS
from cafeteria.chassis.observability.pulse import Durations, Snapshot, together
from cafeteria.chassis.ops import OwnFigures, Pulse
from cafeteria.chassis.runtime.errors import Overloaded, Unavailable
from cafeteria.contracts.ops import MAX_ROUTES, Health, ServicePulse

PATH = "/v1/ops/probe"
WATCHED = metrics.gauge("probe_waiting_meals", "Meals that wait")
COOKED = Answers(method="POST", route="/meals", statuses=frozenset({201, 202}))
SUNSET = datetime(2026, 3, 1, 18, 4, tzinfo=UTC)


@post("/meals")
async def cook() -> None: ...


@get("/busy")
async def busy() -> None:
    raise Overloaded("Too many meals.")


@get("/broken")
async def broken() -> None:
    raise RuntimeError("the oven fell down")


@get("/stream")
async def stream() -> Stream:
    return Stream(iter([b"data: 1\n\n"]), media_type="text/event-stream")


@get("/dish/{name:str}")
async def dish(name: FromPath[str]) -> Response[str]:
    return Response(name)


async def answers() -> None: ...


async def away() -> None:
    raise Unavailable("Postgres does not answer.")


async def frozen() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def app(make_app: Callable[..., ServiceApp], signer: Any) -> ServiceApp:
    own = OwnFigures(levels={"waiting_meals": WATCHED}, rates={"cooked_per_s": COOKED})
    return make_app(
        *(cook, busy, broken, stream, dish),
        keys=KeySource(signer.fetch),
        checks={"oven": answers},
        context=AppContext(figures=own),
    )


@pytest.fixture
async def client(app: ServiceApp, connect: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(app) as client:
        yield client


@pytest.fixture
def operator(signer: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {signer.token(sub='operator-1', role='operator')}"}


async def pulse_of(client: httpx.AsyncClient, operator: dict[str, str]) -> ServicePulse:
    answer = await client.get(PATH, headers=operator)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=ServicePulse)


async def pulse_with(client: httpx.AsyncClient, operator: dict[str, str], *, answered: int) -> ServicePulse:
    """The pulse once the figures of the next second hold that many answers."""
    async with asyncio.timeout(10):
        while True:
            pulse = await pulse_of(client, operator)
            if round(pulse.per_s * pulse.window_s) >= answered:
                return pulse
            await asyncio.sleep(0.05)


async def test_only_an_operator_may_read_it(client: httpx.AsyncClient, signer: Any) -> None:
    assert (await client.get(PATH)).status_code == 401
    for role in ("student", "kitchen"):
        headers = {"Authorization": f"Bearer {signer.token(role=role)}"}
        assert (await client.get(PATH, headers=headers)).status_code == 403


async def test_it_tells_what_was_answered(client: httpx.AsyncClient, operator: dict[str, str]) -> None:
    for _ in range(6):
        await client.post("/meals")
    await client.get("/dish/soup")
    assert (await client.get("/busy")).status_code == 503
    with capture_logs():
        assert (await client.get("/broken")).status_code == 500
    assert (await client.get("/nowhere")).status_code == 404
    pulse = await pulse_with(client, operator, answered=10)
    assert (pulse.refused_share, pulse.failed_share) == (0.1, 0.1)
    assert {(route.method, route.route) for route in pulse.routes} == {
        ("POST", "/meals"),
        ("GET", "/dish/{name}"),
        ("GET", "/busy"),
        ("GET", "/broken"),
        ("GET", "unmatched"),
    }
    assert pulse.routes[0].route == "/meals"
    assert round(pulse.figures["cooked_per_s"] * pulse.window_s) == 6
    assert sum(second.figures["cooked_per_s"] > 0 for second in pulse.seconds) >= 1
    assert pulse.mean_ms is not None
    assert 0 < pulse.mean_ms < 1000
    assert pulse.p50_ms is not None
    assert pulse.p95_ms is not None
    assert pulse.p50_ms <= pulse.p95_ms
    assert (pulse.is_slow, pulse.slow_since) == (False, None)
    assert (pulse.service, pulse.health) == (
        "probe",
        Health(status="ok", dependencies={"oven": "ok", "keys": "ok"}),
    )
    assert pulse.started_at < pulse.at


async def test_streams_and_what_machines_ask_do_not_count(
    client: httpx.AsyncClient, operator: dict[str, str]
) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/metrics", "/stream"):
        await client.get(path)
    await client.get("/dish/soup")
    pulse = await pulse_with(client, operator, answered=1)
    assert [(route.method, route.route) for route in pulse.routes] == [("GET", "/dish/{name}")]


async def test_a_figure_is_there_as_soon_as_the_service_has_such_a_thing(
    app: ServiceApp, client: httpx.AsyncClient, operator: dict[str, str]
) -> None:
    before = (await pulse_of(client, operator)).figures
    assert "waiting_meals" not in before
    assert "reader_lag" not in before
    WATCHED.metric(app.registry).set(3)
    READER_LAG.metric(app.registry).labels("MEALS").set(17)
    figures = (await pulse_of(client, operator)).figures
    assert (figures["waiting_meals"], figures["reader_lag"]) == (3.0, 17.0)


@pytest.mark.parametrize(
    ("check", "within_s", "said"), [(away, 0.05, "unavailable: Postgres"), (frozen, 1.5, "no answer")]
)
async def test_it_answers_while_a_dependency_does_not(
    make_app: Any, connect: Any, signer: Any, operator: dict[str, str], check: Any, within_s: float, said: str
) -> None:
    app = make_app(cook, keys=KeySource(signer.fetch), checks={"postgres": check})
    async with connect(app) as client:
        await pulse_of(client, operator)  # the first one verifies the token
        started = perf_counter()
        pulse = await pulse_of(client, operator)
        assert perf_counter() - started < within_s
        assert pulse.health.status == "unavailable"
        assert said in pulse.health.dependencies["postgres"]


async def test_an_operator_who_looks_each_second_fills_no_log_but_a_refusal_is_in_it(
    client: httpx.AsyncClient, operator: dict[str, str], signer: Any
) -> None:
    student = {"Authorization": f"Bearer {signer.token()}"}
    with capture_logs() as lines:
        await client.get(PATH, headers=operator)
        await client.get(PATH, headers=student)
    levels = [(line["status"], line["log_level"]) for line in lines if line.get("route") == PATH]
    assert levels == [(200, "debug"), (403, "info")]


async def test_at_most_twelve_routes_are_listed(
    make_app: Any, connect: Any, signer: Any, operator: dict[str, str]
) -> None:
    def route_of(number: int) -> Any:
        @get(f"/dishes/{number}", operation_id=f"dish{number}")
        async def read() -> None: ...

        return read

    app = make_app(*map(route_of, range(20)), keys=KeySource(signer.fetch))
    async with connect(app) as client:
        for number in range(20):
            for _ in range(2 if number == 7 else 1):
                await client.get(f"/dishes/{number}")
        pulse = await pulse_with(client, operator, answered=21)
    assert len(pulse.routes) == MAX_ROUTES
    assert pulse.routes[0].route == "/dishes/7"


async def test_an_app_without_keys_has_no_such_route(make_app: Any, connect: Any) -> None:
    async with connect(make_app(cook)) as client:
        assert (await client.get(PATH)).status_code == 404


def seconds_of(answers_each_second: list[tuple[int, float]]) -> Iterator[Snapshot]:
    """The sums after each second, with so many answers that each took so long."""
    begin_s, everything = monotonic(), Durations()
    for number, (count, each_s) in enumerate(answers_each_second, start=1):
        within = tuple(count * (each_s <= bound) for bound in SECONDS_BUCKETS)
        added = Durations(total_s=count * each_s, within=(*within, float(count)))
        everything = together((everything, added))
        yield Snapshot(
            at=SUNSET + timedelta(seconds=number),
            clock_s=begin_s + number,
            routes={},
            everything=everything,
            refused=0,
            failed=0,
            counted={},
        )


def test_slow_answers_are_logged_once_when_they_begin_and_once_when_they_end() -> None:
    registry = metrics.app_registry()
    pulse = Pulse("probe", replica="one", registry=registry, quiet_routes=frozenset(), own=OwnFigures())
    seconds = seconds_of([(3, 0.05)] * 2 + [(3, 1.24)] * 20 + [(3, 0.05)] * 60)
    seen = []
    with capture_logs() as lines:
        for snapshot in seconds:
            pulse.note(snapshot)
            mean_s = registry.get_sample_value("cafeteria_http_mean_seconds_30s")
            seen.append((pulse.answer(Health(status="ok", dependencies={})), mean_s))
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("answers_slow", "warning"),
        ("answers_normal", "info"),
    ]
    slow = [answer for answer, _ in seen if answer.is_slow]
    assert lines[0]["mean_ms"] == slow[0].mean_ms
    assert lines[0]["mean_ms"] > 1000
    assert {answer.slow_since for answer in slow} == {slow[0].at}
    assert all(mean_s == pytest.approx((answer.mean_ms or 0) / 1000, abs=1e-4) for answer, mean_s in seen)


def test_the_mean_of_no_answer_is_no_number() -> None:
    registry = metrics.app_registry()
    pulse = Pulse("probe", replica="one", registry=registry, quiet_routes=frozenset(), own=OwnFigures())
    for snapshot in seconds_of([(0, 0.0)] * 3):
        pulse.note(snapshot)
    assert isnan(registry.get_sample_value("cafeteria_http_mean_seconds_30s") or 0.0)
