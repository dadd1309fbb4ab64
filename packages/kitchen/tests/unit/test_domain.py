"""A table of a ticket's steps: which step is legal in which state, and the event of each."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest

from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.contracts.values import OrderStatus, StatusTime
from cafeteria.kitchen import domain
from cafeteria.kitchen.domain import Move, Quote, Ticket, TicketAction
from cafeteria.kitchen.errors import IllegalTransition

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VERIFIED = (
    StatusTime(status=OrderStatus.PENDING, version=1, at=NOON),
    StatusTime(status=OrderStatus.STOCK_VERIFIED, version=2, at=NOON + timedelta(seconds=1)),
)
QUEUED, IN_KITCHEN, READY, COLLECTED, CANCELLED = TicketStatus


def a_ticket(status: TicketStatus = QUEUED) -> Ticket:
    ticket = Ticket(
        id=UUID(int=1), order_id=UUID(int=2), student_id="210041101", status=QUEUED, path=VERIFIED
    )
    for step in _STEPS_TO[status]:
        ticket = step(ticket).moved
    return ticket


def started(ticket: Ticket) -> Move:
    return domain.start(ticket, at=NOON + timedelta(seconds=2), prep_s=3)


def finished(ticket: Ticket) -> Move:
    return domain.finish(ticket, at=NOON + timedelta(seconds=5))


def collected(ticket: Ticket) -> Move:
    move = domain.act(ticket, TicketAction.COLLECT, at=NOON + timedelta(seconds=9), cooks_by_itself=True)
    assert move is not None
    return move


def cancelled(ticket: Ticket) -> Move:
    return domain.cancel(ticket, at=NOON + timedelta(seconds=2))


_STEPS_TO = {
    QUEUED: (),
    IN_KITCHEN: (started,),
    READY: (started, finished),
    COLLECTED: (started, finished, collected),
    CANCELLED: (cancelled,),
}
LEGAL: dict[tuple[TicketStatus, Callable[[Ticket], Move]], tuple[TicketStatus, int]] = {
    (QUEUED, started): (IN_KITCHEN, 3),
    (IN_KITCHEN, finished): (READY, 4),
    (READY, collected): (COLLECTED, 5),
    (QUEUED, cancelled): (CANCELLED, 3),
}


@pytest.mark.parametrize(("before", "step"), LEGAL, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_legal_step_leads_to_its_state_and_version(
    before: TicketStatus, step: Callable[[Ticket], Move]
) -> None:
    move = step(a_ticket(before))

    assert (move.was, (move.status, move.step.version)) == (before, LEGAL[before, step])
    assert move.moved.status is move.status


@pytest.mark.parametrize(
    ("before", "step"),
    [pair for pair in product(TicketStatus, (started, finished, cancelled)) if pair not in LEGAL],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_any_other_step_raises_with_the_tickets_state(
    before: TicketStatus, step: Callable[[Ticket], Move]
) -> None:
    with pytest.raises(IllegalTransition) as refused:
        step(a_ticket(before))

    assert refused.value.standing is before
    assert f"is {before} " in refused.value.detail
    assert refused.value.members["order_id"] == a_ticket().order_id


@pytest.mark.parametrize("action", TicketAction)
def test_a_repeated_action_is_no_move(action: TicketAction) -> None:
    ticket = a_ticket(action.leads_to)

    for cooks_by_itself in (True, False):
        assert domain.act(ticket, action, at=NOON, cooks_by_itself=cooks_by_itself) is None


@pytest.mark.parametrize(
    ("before", "action"),
    [(QUEUED, TicketAction.START), (IN_KITCHEN, TicketAction.READY), (READY, TicketAction.COLLECT)],
)
def test_in_manual_mode_each_action_moves_its_ticket_and_takes_no_station(
    before: TicketStatus, action: TicketAction
) -> None:
    move = domain.act(a_ticket(before), action, at=NOON, cooks_by_itself=False)

    assert move is not None
    assert (move.status, move.due_at) == (action.leads_to, None)


@pytest.mark.parametrize(
    ("before", "action"), [(QUEUED, TicketAction.START), (IN_KITCHEN, TicketAction.READY)]
)
def test_a_kitchen_that_cooks_by_itself_refuses_start_and_ready_from_people(
    before: TicketStatus, action: TicketAction
) -> None:
    with pytest.raises(IllegalTransition, match="by itself"):
        domain.act(a_ticket(before), action, at=NOON, cooks_by_itself=True)


def test_people_collect_in_both_modes() -> None:
    for cooks_by_itself in (True, False):
        move = domain.act(a_ticket(READY), TicketAction.COLLECT, at=NOON, cooks_by_itself=cooks_by_itself)
        assert move is not None
        assert move.status is COLLECTED


def test_a_started_ticket_is_due_when_its_cooking_time_is_over() -> None:
    assert started(a_ticket()).due_at == NOON + timedelta(seconds=5)
    assert domain.start(a_ticket(), at=NOON, prep_s=0).due_at == NOON


def test_an_event_carries_every_earlier_state_of_the_order_and_never_queued() -> None:
    event = domain.status_event_of(a_ticket(COLLECTED))

    assert (event.status, event.version, event.at) == (OrderStatus.COLLECTED, 5, NOON + timedelta(seconds=9))
    assert [(step.status, step.version) for step in event.earlier] == [
        (OrderStatus.PENDING, 1),
        (OrderStatus.STOCK_VERIFIED, 2),
        (OrderStatus.IN_KITCHEN, 3),
        (OrderStatus.READY, 4),
    ]


@pytest.mark.parametrize("status", [IN_KITCHEN, READY, COLLECTED, CANCELLED])
def test_the_answer_to_a_cancel_request_has_the_tickets_state(status: TicketStatus) -> None:
    answer = domain.cancel_answer(a_ticket(status))

    assert answer.cancelled is (status is CANCELLED)
    assert answer.status == OrderStatus(status)
    assert answer.version == {IN_KITCHEN: 3, CANCELLED: 3, READY: 4, COLLECTED: 5}[status]


def test_a_ticket_keeps_only_the_gateways_part_of_the_path_in_version_order() -> None:
    foreign = StatusTime(status=OrderStatus.IN_KITCHEN, version=3, at=NOON)

    assert domain.path_before_cooking((foreign, VERIFIED[1], VERIFIED[0])) == VERIFIED


@pytest.mark.parametrize(
    ("ready_after_s", "outcome", "error"),
    [
        (2, "early", 8 / 5),
        (5, "in_range", 1.0),
        (10, "in_range", 0.0),
        (15, "in_range", 1 / 3),
        (20, "late", 0.5),
    ],
)
def test_a_quote_is_judged_by_the_real_time_of_which_five_seconds_count_at_least(
    ready_after_s: int, outcome: str, error: float
) -> None:
    told_at = datetime(2026, 3, 1, 18, tzinfo=UTC)
    quote = Quote(
        told_at=told_at,
        ready_from=told_at + timedelta(seconds=5),
        ready_to=told_at + timedelta(seconds=15),
        at_once=False,
    )
    ready_at = told_at + timedelta(seconds=ready_after_s)
    assert quote.outcome(ready_at) == outcome
    assert quote.error_ratio(ready_at) == pytest.approx(error)
