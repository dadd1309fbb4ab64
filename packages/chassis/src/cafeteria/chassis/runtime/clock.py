"""The only code that reads the wall clock. Domain code gets the time as an argument, so that its tests choose it."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware and in UTC."""
    return datetime.now(UTC)
