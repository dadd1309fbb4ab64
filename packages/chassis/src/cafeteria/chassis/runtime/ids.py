"""Ids are UUIDv7 that the service makes: index pages fill in order, and an id costs no round trip."""

from datetime import UTC, datetime
from uuid import UUID

from uuid_utils import uuid7


def new_id() -> UUID:
    """A new UUIDv7. Within one process a later id sorts later."""
    return UUID(bytes=uuid7().bytes)  # uuid_utils' own conversion takes half as long again


def earliest_id(at: datetime) -> UUID:
    """The smallest id that can be made at `at` or later: a UUIDv7 begins with the milliseconds."""
    return UUID(int=max(0, int(at.timestamp() * 1000)) << 80)


def made_at(id_: UUID) -> datetime:
    """The time at which a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC)
