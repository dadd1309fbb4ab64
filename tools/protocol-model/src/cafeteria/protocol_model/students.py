"""Simulated students: they order, repeat under one key from several devices at once, cancel, and follow their orders.

Every answer that a student received is kept for the checker.
"""

from typing import NamedTuple
from uuid import UUID

from cafeteria.contracts.values import Line
from cafeteria.faultkit.history import Exchange, Intent
from cafeteria.protocol_model.scheduler import Scheduler


class Sent:
    """One request, and the answer that arrived, if one did."""

    __slots__ = ("body", "intent", "key", "order_id", "replayed", "scheduler", "status", "student_id")

    def __init__(
        self,
        scheduler: Scheduler,
        intent: Intent,
        student_id: str,
        *,
        key: str | None = None,
        order_id: UUID | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.intent = intent
        self.student_id = student_id
        self.key = key
        self.order_id = order_id
        self.status: int | None = None
        self.body = b""
        self.replayed = False

    def answered(self, status: int, body: bytes, *, replayed: bool = False) -> None:
        """Store the answer, unless it is lost in transit."""
        scheduler = self.scheduler
        what = self.key or self.order_id
        if not scheduler.is_quiescing and scheduler.happens(scheduler.fault_rates.lost):
            scheduler.log(
                None, "{} does not get the answer {} ({} {})", self.student_id, status, self.intent, what
            )
            return
        scheduler.log(None, "{} is answered {} ({} {})", self.student_id, status, self.intent, what)
        self.status, self.body, self.replayed = status, body, replayed

    def as_exchange(self) -> Exchange:
        return Exchange(
            intent=self.intent,
            student_id=self.student_id,
            sent_at_s=0.0,
            ended_at_s=0.0,
            status=self.status,
            body=self.body,
            key=self.key,
            order_id=self.order_id,
            replayed=self.replayed,
        )


class OrderIntent(NamedTuple):
    """What a student orders, and under which key; each time it is sent is one request."""

    student_id: str
    key: str
    lines: tuple[Line, ...]
    request_hash: bytes


class CancelIntent(NamedTuple):
    """A student's decision to cancel one of their orders."""

    student_id: str
