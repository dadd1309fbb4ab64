"""The pause before a next try, as the services' SQL computes it."""

from datetime import datetime, timedelta

SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=4)


def back_off(at: datetime, since: datetime) -> datetime:
    """Return the time of the next try: half of the waiting time so far, from one second to four."""
    return at + min(max((at - since) / 2, SHORTEST_PAUSE), LONGEST_PAUSE)
