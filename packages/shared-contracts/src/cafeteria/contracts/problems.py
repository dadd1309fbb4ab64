"""Errors as data: the RFC 9457 problem document and every stable error code of the services."""

from enum import StrEnum
from uuid import UUID

import msgspec

from cafeteria.contracts.values import Instant


class ProblemCode(StrEnum):
    """The last part of a problem's `type`, `/problems/<code>`; never reused for another meaning."""

    INVALID_REQUEST = "invalid-request"
    IDEMPOTENCY_KEY_MISSING = "idempotency-key-missing"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    CONFLICT = "conflict"
    OUT_OF_STOCK = "out-of-stock"
    UNKNOWN_ITEM = "unknown-item"
    EXPIRED = "expired"
    TOO_LATE_TO_CANCEL = "too-late-to-cancel"
    ORDER_UNDECIDED = "order-undecided"
    ILLEGAL_TRANSITION = "illegal-transition"
    INVALID_CREDENTIALS = "invalid-credentials"
    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - the name of a problem, no secret
    PASSWORD_CHANGE_REQUIRED = "password-change-required"  # noqa: S105 - the same
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    LIMIT_REACHED = "limit-reached"
    TOO_LARGE = "too-large"
    OVERLOADED = "overloaded"
    INTAKE_PAUSED = "intake-paused"
    KITCHEN_FULL = "kitchen-full"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An RFC 9457 problem document. `detail` is for a person: what happened, what was kept, what to do."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    request_id: str | None = None
    item_ids: tuple[UUID, ...] = ()
    order_id: UUID | None = None
    orders_in_progress: int | None = None
    reopens_at: Instant | None = None
    errors: tuple[str, ...] = ()


def problem_type(code: ProblemCode) -> str:
    return f"/problems/{code}"
