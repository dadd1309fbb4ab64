"""The kitchen says its pace each second, and at once when the intake changes; quotes are stored and judged by it."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.kitchen import MAX_QUEUE_MARKS, Pace
from cafeteria.contracts.subjects import PACE
from cafeteria.testkit.plugin import until
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Gateway, Kitchen, OpenKitchen


@pytest.fixture
async def paces(gateway: Gateway) -> list[Pace]:
    """The paces that a gateway receives from now on."""
    messages: list[Pace] = []
    await gateway.bus.subscribe(PACE, messages.append)
    await gateway.bus.ping()
    return messages


async def next_pace(paces: list[Pace], *, queued: int) -> Pace:
    await until(lambda: any(pace.queued == queued for pace in paces))
    return paces[-1]


async def metric(kitchen: Kitchen, name: str) -> float | None:
    """Return the sample of /metrics that begins with `name`, None if there is none."""
    text = (await kitchen.web.get("/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, flags=re.MULTILINE)
    return float(found[1]) if found else None


async def test_a_pace_tells_the_counts_and_the_speed_of_the_stations(
    open_kitchen: OpenKitchen, paces: list[Pace]
) -> None:
    kitchen = await open_kitchen(stations=2, prep_min_s=40.0, prep_max_s=80.0)
    await kitchen.gateway.place_some(3)
    await kitchen.wait_for_tickets("QUEUED", 1)

    pace = await next_pace(paces, queued=1)

    assert (pace.in_kitchen, pace.ready, pace.stations, pace.mode) == (2, 0, 2, "auto")
    assert (pace.per_min, pace.prep_p50_s, pace.prep_p90_s) == (2.0, 60.0, 76.0)
    assert (pace.is_open, pace.reopens_at, pace.delay_s) == (True, None, 0)


async def test_the_marks_of_the_queue_rise_from_the_oldest_ticket_on(
    open_kitchen: OpenKitchen, paces: list[Pace]
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    orders = []
    for count in (20, 40):
        orders += await kitchen.gateway.place_some(20)
        await kitchen.wait_for_tickets("QUEUED", count)

    pace = await next_pace(paces, queued=40)

    assert 1 < len(pace.queue) <= MAX_QUEUE_MARKS
    assert [mark.ahead for mark in pace.queue] == list(range(0, 40, 4))
    times = [mark.verified_at for mark in pace.queue]
    assert times == sorted(times)
    verified = {order.earlier[-1].at for order in orders}
    assert set(times) <= verified
    assert times[0] < times[-1] < pace.at


async def test_a_change_of_the_intake_is_said_at_once(open_kitchen: OpenKitchen, paces: list[Pace]) -> None:
    kitchen = await open_kitchen()
    began_at = now()

    for delay_s in range(60, 360, 60):
        await kitchen.web.put("/v1/intake", json={"is_open": True, "delay_s": delay_s})
        await until(partial(_is_said, paces, delay_s))

    assert now() - began_at < timedelta(seconds=3)  # without a change a pace comes once a second


def _is_said(paces: list[Pace], delay_s: int) -> bool:
    return any(pace.delay_s == delay_s for pace in paces)


async def test_a_pause_ends_by_itself(open_kitchen: OpenKitchen, paces: list[Pace]) -> None:
    kitchen = await open_kitchen()

    answer = await kitchen.web.put("/v1/intake", json={"is_open": False, "delay_s": 300, "minutes": 5})
    await until(lambda: any(not pace.is_open for pace in paces))
    said = paces[-1]

    assert answer.status_code == 200
    assert answer.json() == (await kitchen.web.get("/v1/intake")).json()
    assert said.reopens_at is not None
    assert timedelta(minutes=4.9) < said.reopens_at - said.at <= timedelta(minutes=5)

    await kitchen.database.value("UPDATE kitchen.intake SET reopens_at = now()")
    reopened = (await kitchen.web.get("/v1/intake")).json()
    assert (reopened["is_open"], reopened["reopens_at"], reopened["delay_s"]) == (True, None, 300)
    await until(lambda: paces[-1].is_open)
    assert (paces[-1].reopens_at, paces[-1].delay_s) == (None, 300)


async def test_the_last_change_of_the_intake_counts_and_names_its_author(
    open_kitchen: OpenKitchen, tokens: Tokens
) -> None:
    kitchen = await open_kitchen()
    untouched = (await kitchen.web.get("/v1/intake")).json()
    assert untouched == {"is_open": True, "reopens_at": None, "delay_s": 0, "by": None, "at": None}

    operator = tokens.header(tokens.operator())
    await kitchen.web.put("/v1/intake", json={"is_open": False})
    answer = await kitchen.web.put("/v1/intake", json={"is_open": True, "minutes": 5}, headers=operator)

    assert (answer.json()["is_open"], answer.json()["reopens_at"]) == (True, None)
    assert answer.json() == (await kitchen.web.get("/v1/intake", headers=operator)).json()
    assert answer.json()["by"] != untouched["by"]
    invalid = await kitchen.web.put("/v1/intake", json={"is_open": True, "delay_s": 3601})
    assert invalid.status_code == 400
    student = tokens.header(tokens.student())
    assert (await kitchen.web.get("/v1/intake", headers=student)).status_code == 403
    assert (await kitchen.web.put("/v1/intake", json={"is_open": True}, headers=student)).status_code == 403


async def test_a_ticket_keeps_the_range_that_was_told_and_is_judged_by_it_when_it_is_ready(
    open_kitchen: OpenKitchen, paces: list[Pace], tokens: Tokens
) -> None:
    kitchen = await open_kitchen(stations=1, prep_min_s=1.0, prep_max_s=1.0)
    await next_pace(paces, queued=0)
    first, second = await kitchen.gateway.place_some(2)
    await kitchen.wait_for_tickets("READY", 2)

    tickets = sorted(
        [await kitchen.database.ticket_of(order) for order in (first, second)],
        key=lambda ticket: ticket["quoted_from"],
    )
    assert [ticket["quoted_at_once"] for ticket in tickets] == [True, False]
    assert tickets[0]["quoted_from"] - tickets[0]["received_at"] == timedelta(seconds=1)
    assert tickets[1]["quoted_to"] < tickets[1]["received_at"] + timedelta(seconds=2.15)
    answer = await kitchen.web.get("/v1/tickets?status=READY")
    assert None not in [ticket["quoted_to"] for ticket in answer.json()["items"]]

    judged = "cafeteria_kitchen_quote_error_ratio_count"
    assert await metric(kitchen, f'{judged}{{began="at_once"}}') == 1
    assert await metric(kitchen, f'{judged}{{began="waited"}}') == 1
    operator = tokens.header(tokens.operator())
    figures = (await kitchen.web.get("/v1/ops/kitchen", headers=operator)).json()["figures"]
    assert 0 <= figures["quote_error_median"] <= figures["quote_error_p90"] < 0.3
    assert 0 <= figures["quote_in_range"] <= 1


async def test_where_people_cook_the_pace_is_what_they_finished_while_others_waited(
    open_kitchen: OpenKitchen, paces: list[Pace], tokens: Tokens
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    orders = await kitchen.gateway.place_some(7)
    first = await next_pace(paces, queued=7)
    assert (first.stations, first.per_min, first.prep_p50_s) == (None, 0.0, 0.0)

    for order in orders[:5]:
        await kitchen.act_until(order, "READY")
    await until(lambda: paces[-1].per_min > 0)

    elapsed_s = (paces[-1].at - paces[0].at).total_seconds()
    assert paces[-1].per_min >= 5 * 60 / elapsed_s
    assert 0 < paces[-1].prep_p50_s <= paces[-1].prep_p90_s < 5
    ticket = await kitchen.database.ticket_of(orders[-1])
    assert ticket["quoted_to"] is None
    operator = tokens.header(tokens.operator())
    figures = (await kitchen.web.get("/v1/ops/kitchen", headers=operator)).json()["figures"]
    assert "quote_in_range" not in figures
