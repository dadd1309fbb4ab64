"""A ticket goes QUEUED, IN_KITCHEN, READY, COLLECTED, or from QUEUED to CANCELLED, one step at a time.

The student or the kitchen cancels it. The kitchen says why, and its event tells the student that it was the kitchen.

Every step is a `Move`. It holds the state that it leaves, so that the write can guard by that state, and the
order's whole path, so that a receiver of its event can fill in lost ones. The caller passes in the time and the
length of cooking.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket, CookOrder, TicketStatus
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import (
    STATUS_VERSIONS,
    OrderStatus,
    Pickup,
    PricedLine,
    RejectionReason,
    StatusTime,
)
from cafeteria.kitchen.errors import IllegalTransition

QUEUED_VERSION = STATUS_VERSIONS[OrderStatus.STOCK_VERIFIED]
"""QUEUED is internal to the kitchen: for all others the order is still STOCK_VERIFIED."""

STATES_BEFORE = {
    TicketStatus.IN_KITCHEN: TicketStatus.QUEUED,
    TicketStatus.CANCELLED: TicketStatus.QUEUED,
    TicketStatus.READY: TicketStatus.IN_KITCHEN,
    TicketStatus.COLLECTED: TicketStatus.READY,
}
"""The one state from which each state is entered."""

READY_COUNTS_FOR = timedelta(hours=24)
"""Since the order arrived; nobody fetches an older meal."""

CONFIRM_AFTER = timedelta(seconds=5)
"""Receivers are asked about a status once it is this old; before that, its event may still be on its way."""


class TicketAction(StrEnum):
    """A ticket action of the kitchen's people, by its name in the path."""

    START = "start"
    READY = "ready"
    COLLECT = "collect"

    @property
    def leads_to(self) -> TicketStatus:
        return _LEADS_TO[self]


_LEADS_TO = {
    TicketAction.START: TicketStatus.IN_KITCHEN,
    TicketAction.READY: TicketStatus.READY,
    TicketAction.COLLECT: TicketStatus.COLLECTED,
}


class QuoteOutcome(StrEnum):
    """Whether a ticket became ready before, within or after the range that was told."""

    EARLY = "early"
    IN_RANGE = "in_range"
    LATE = "late"


SHORTEST_JUDGED_S = 5.0
"""A second off is much of a short time and matters to nobody: errors are shares of this time at least."""


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The range that was told when the ticket arrived, at `told_at`. `at_once`: it had to wait for no other."""

    told_at: datetime
    ready_from: datetime
    ready_to: datetime
    at_once: bool

    def outcome(self, ready_at: datetime) -> QuoteOutcome:
        if ready_at < self.ready_from:
            return QuoteOutcome.EARLY
        return QuoteOutcome.LATE if ready_at > self.ready_to else QuoteOutcome.IN_RANGE

    def error_ratio(self, ready_at: datetime) -> float:
        """Return the distance of the range's middle from the real time, as a share of the real time."""
        middle = self.ready_from + (self.ready_to - self.ready_from) / 2
        real_s = (ready_at - self.told_at).total_seconds()
        return abs((middle - ready_at).total_seconds()) / max(real_s, SHORTEST_JUDGED_S)


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a ticket that a move needs; `path` holds every state of the order so far, the gateway's too."""

    id: UUID
    order_id: UUID
    student_id: str
    status: TicketStatus
    path: tuple[StatusTime, ...]
    pickup: Pickup | None = None
    refusal: str | None = None
    traceparent: str | None = None


class NewTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket to enqueue; `path` is the gateway's part of the order's path."""

    order_id: UUID
    student_id: str
    lines: tuple[PricedLine, ...]
    path: tuple[StatusTime, ...]
    traceparent: str | None
    quote: Quote | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one ticket. `due_at` is set only where the kitchen cooks by itself: then it takes a station.

    `refusal` is what the kitchen's people wrote when they refused the ticket. Once it is written, a move to READY has the
    `quote` that its ticket was given, if it was given one.
    """

    ticket: Ticket
    status: TicketStatus
    at: datetime
    due_at: datetime | None = None
    refusal: str | None = None
    quote: Quote | None = None

    @property
    def was(self) -> TicketStatus:
        return self.ticket.status

    @property
    def step(self) -> StatusTime:
        status = OrderStatus(self.status)
        return StatusTime(status=status, version=STATUS_VERSIONS[status], at=self.at)

    @property
    def moved(self) -> Ticket:
        return msgspec.structs.replace(
            self.ticket, status=self.status, path=(*self.ticket.path, self.step), refusal=self.refusal
        )


def new_ticket(
    order: CookOrder | CancelTicket, *, traceparent: str | None, quote: Quote | None = None
) -> NewTicket:
    """Return the ticket of an order whose work, or whose cancel request, arrives first."""
    return NewTicket(
        order_id=order.order_id,
        student_id=order.student_id,
        lines=order.lines,
        path=path_before_cooking(order.earlier),
        traceparent=traceparent,
        quote=quote,
    )


def start(ticket: Ticket, *, at: datetime, prep_s: float | None) -> Move:
    """Begin to cook. `prep_s` is in seconds; without it a person marks the ticket as ready."""
    due_at = None if prep_s is None else at + timedelta(seconds=prep_s)
    return _move(ticket, TicketStatus.IN_KITCHEN, at=at, due_at=due_at)


def finish(ticket: Ticket, *, at: datetime) -> Move:
    return _move(ticket, TicketStatus.READY, at=at)


def cancel(ticket: Ticket, *, at: datetime) -> Move:
    return _move(ticket, TicketStatus.CANCELLED, at=at)


def refuse(ticket: Ticket, reason: str, *, at: datetime) -> Move | None:
    """Cancel what cannot be made; None when the kitchen has refused it already. Raises IllegalTransition.

    A ticket that its student has cancelled is no longer the kitchen's to refuse.
    """
    if ticket.refusal is not None:
        return None
    move = _move(ticket, TicketStatus.CANCELLED, at=at)
    return msgspec.structs.replace(move, refusal=reason)


def act(ticket: Ticket, action: TicketAction, *, at: datetime, cooks_by_itself: bool) -> Move | None:
    """Return the move, or None when the ticket is in that state already: a repeated action changes nothing.

    Where the kitchen cooks by itself people may only collect: two drivers would break the count of stations.
    Raises IllegalTransition.
    """
    if ticket.status is action.leads_to:
        return None
    if cooks_by_itself and action is not TicketAction.COLLECT:
        raise _refusal(ticket, action.leads_to, because="this kitchen starts and finishes tickets by itself.")
    return _move(ticket, action.leads_to, at=at)


def _move(ticket: Ticket, status: TicketStatus, *, at: datetime, due_at: datetime | None = None) -> Move:
    before = STATES_BEFORE[status]
    if ticket.status is not before:
        raise _refusal(ticket, status, because=f"only a {before} one can.")
    return Move(ticket=ticket, status=status, at=at, due_at=due_at)


def _refusal(ticket: Ticket, status: TicketStatus, *, because: str) -> IllegalTransition:
    return IllegalTransition(order_id=ticket.order_id, standing=ticket.status, asked=status, because=because)


def status_event_of(ticket: Ticket) -> OrderStatusChanged:
    """Return the status event of the ticket's state. A QUEUED ticket has none."""
    latest = ticket.path[-1]
    return OrderStatusChanged(
        order_id=ticket.order_id,
        student_id=ticket.student_id,
        status=latest.status,
        version=latest.version,
        at=latest.at,
        earlier=ticket.path[:-1],
        reason=_reason_of(ticket),
        pickup=ticket.pickup if ticket.status is not TicketStatus.CANCELLED else None,
        traceparent=ticket.traceparent,
    )


def cancel_answer(ticket: Ticket) -> CancelAnswered:
    """Return the answer to a cancel request: the ticket's state, the same for every repeat."""
    latest = ticket.path[-1]
    return CancelAnswered(
        order_id=ticket.order_id,
        cancelled=ticket.status is TicketStatus.CANCELLED,
        status=latest.status,
        version=latest.version,
        at=latest.at,
        reason=_reason_of(ticket),
    )


def _reason_of(ticket: Ticket) -> RejectionReason | None:
    return None if ticket.refusal is None else RejectionReason.KITCHEN


def path_before_cooking(earlier: Iterable[StatusTime]) -> tuple[StatusTime, ...]:
    """Return the gateway's part of the path, in version order; it leaves out states that the gateway does not own."""
    own = {step.version: step for step in earlier if step.version <= QUEUED_VERSION}
    return tuple(own[version] for version in sorted(own))
