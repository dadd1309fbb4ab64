"""The one place that reads the wall clock. Domain code is handed the time, so that its tests choose it."""

from datetime import UTC, datetime


def now() -> datetime:
    """Aware, in UTC."""
    return datetime.now(UTC)
