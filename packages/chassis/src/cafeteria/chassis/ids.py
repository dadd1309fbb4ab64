"""Every id is a UUIDv7 made by the service: index pages fill in order, and no round trip gives an id."""

from uuid import UUID

from uuid_utils import uuid7


def new_id() -> UUID:
    """Ids made later in one process sort later."""
    return UUID(bytes=uuid7().bytes)  # uuid_utils' own way to one takes half as long again
