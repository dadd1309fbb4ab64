"""A ticket goes QUEUED, IN_KITCHEN, READY, COLLECTED, or from QUEUED to CANCELLED, one step at a time.

Every step is a `Move`: it knows the state that it leaves, so that whoever writes it can guard by that state,
and the order's whole path, so that whoever hears of it can fill in what was missed. Time and the length of
cooking are passed in.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from cafeteria.contracts.kitchen import CancelAnswered, TicketStatus
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import STATUS_VERSIONS, OrderStatus, StatusTime
from cafeteria.kitchen.errors import IllegalTransition

QUEUED_VERSION = STATUS_VERSIONS[OrderStatus.STOCK_VERIFIED]
"""QUEUED is the kitchen's own word: to everyone else the order is still STOCK_VERIFIED."""

STATES_BEFORE = {
    TicketStatus.IN_KITCHEN: TicketStatus.QUEUED,
    TicketStatus.CANCELLED: TicketStatus.QUEUED,
    TicketStatus.READY: TicketStatus.IN_KITCHEN,
    TicketStatus.COLLECTED: TicketStatus.READY,
}
"""The one state from which each state is entered."""

CONFIRM_AFTER = timedelta(seconds=5)
"""A status younger than this is surely still on its way; then its receivers are asked."""

MAX_CONFIRM_PAUSE = timedelta(seconds=4)


class Press(StrEnum):
    """What a person can press, by its name in the path."""

    START = "start"
    READY = "ready"
    COLLECT = "collect"

    @property
    def leads_to(self) -> TicketStatus:
        return _PRESS_LEADS_TO[self]


_PRESS_LEADS_TO = {
    Press.START: TicketStatus.IN_KITCHEN,
    Press.READY: TicketStatus.READY,
    Press.COLLECT: TicketStatus.COLLECTED,
}


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to move a ticket; `path` holds every state of the order so far, the gateway's too."""

    id: UUID
    order_id: UUID
    student_id: str
    status: TicketStatus
    path: tuple[StatusTime, ...]
    traceparent: str | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one ticket. `due_at` stands only where the kitchen cooks by itself: then it takes a station."""

    ticket: Ticket
    status: TicketStatus
    at: datetime
    due_at: datetime | None = None

    @property
    def was(self) -> TicketStatus:
        return self.ticket.status

    @property
    def step(self) -> StatusTime:
        status = OrderStatus(self.status)
        return StatusTime(status=status, version=STATUS_VERSIONS[status], at=self.at)

    @property
    def moved(self) -> Ticket:
        return msgspec.structs.replace(self.ticket, status=self.status, path=(*self.ticket.path, self.step))


def start(ticket: Ticket, *, at: datetime, prep_s: float | None) -> Move:
    """Begin to cook; without `prep_s` the ticket is ready when a person says so."""
    due_at = None if prep_s is None else at + timedelta(seconds=prep_s)
    return _move(ticket, TicketStatus.IN_KITCHEN, at=at, due_at=due_at)


def finish(ticket: Ticket, *, at: datetime) -> Move:
    return _move(ticket, TicketStatus.READY, at=at)


def cancel(ticket: Ticket, *, at: datetime) -> Move:
    return _move(ticket, TicketStatus.CANCELLED, at=at)


def press(ticket: Ticket, pressed: Press, *, at: datetime, cooks_by_itself: bool) -> Move | None:
    """None when the ticket stands there already: a repeat of the same press changes nothing.

    Where the kitchen cooks by itself only `collect` is a person's: two drivers would break the count of stations.
    """
    if ticket.status is pressed.leads_to:
        return None
    if cooks_by_itself and pressed is not Press.COLLECT:
        raise _refusal(
            ticket, pressed.leads_to, because="this kitchen starts and finishes tickets by itself."
        )
    return _move(ticket, pressed.leads_to, at=at)


def _move(ticket: Ticket, status: TicketStatus, *, at: datetime, due_at: datetime | None = None) -> Move:
    before = STATES_BEFORE[status]
    if ticket.status is not before:
        raise _refusal(ticket, status, because=f"only a {before} one can.")
    return Move(ticket=ticket, status=status, at=at, due_at=due_at)


def _refusal(ticket: Ticket, asked: TicketStatus, *, because: str) -> IllegalTransition:
    return IllegalTransition(order_id=ticket.order_id, standing=ticket.status, asked=asked, because=because)


def news_of(ticket: Ticket) -> OrderStatusChanged:
    """The event for the state in which the ticket stands. A QUEUED ticket has none."""
    latest = ticket.path[-1]
    return OrderStatusChanged(
        order_id=ticket.order_id,
        student_id=ticket.student_id,
        status=latest.status,
        version=latest.version,
        at=latest.at,
        earlier=ticket.path[:-1],
        traceparent=ticket.traceparent,
    )


def cancel_answer(ticket: Ticket) -> CancelAnswered:
    """Where the ticket stands after a request to cancel it; the same for every repeat."""
    latest = ticket.path[-1]
    return CancelAnswered(
        order_id=ticket.order_id,
        cancelled=ticket.status is TicketStatus.CANCELLED,
        status=latest.status,
        version=latest.version,
        at=latest.at,
    )


def path_before_cooking(earlier: Iterable[StatusTime]) -> tuple[StatusTime, ...]:
    """The gateway's part of the path, in version order; whatever is not the gateway's to say is left out."""
    own = {step.version: step for step in earlier if step.version <= QUEUED_VERSION}
    return tuple(own[version] for version in sorted(own))


def earliest_id(at: datetime) -> UUID:
    """No id that is made at `at` or later sorts before this one: a UUIDv7 begins with the milliseconds."""
    return UUID(int=max(0, int(at.timestamp() * 1000)) << 80)


def confirm_pause(*, age: timedelta) -> timedelta:
    """How long to wait before asking again after a status of this age: it grows with the age, up to 4 s.

    The age is stored with the ticket, so this back-off survives a restart and all replicas share it.
    """
    return min(MAX_CONFIRM_PAUSE, max(timedelta(seconds=1), age / 4))
