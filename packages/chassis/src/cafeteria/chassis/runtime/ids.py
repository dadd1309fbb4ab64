"""Ids are UUIDv7 that the service makes: index pages fill in order, and an id costs no round trip."""

from uuid import UUID

from uuid_utils import uuid7


def new_id() -> UUID:
    """A new UUIDv7. Within one process a later id sorts later."""
    return UUID(bytes=uuid7().bytes)  # uuid_utils' own conversion takes half as long again
