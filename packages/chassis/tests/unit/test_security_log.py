"""Lines that clients cause are limited by kind, and what is left out is counted."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.security_log import LINES_PER_S, LineLimit, log_security_event
from cafeteria.chassis.runtime.security_events import BY_STATUS, SecurityEvent


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admit(clock: Clock) -> Callable[[str], int | None]:
    return LineLimit(clock).admit


def test_a_kind_gets_its_lines_of_each_second(admit: Callable[[str], int | None], clock: Clock) -> None:
    for _ in range(3):
        assert [admit("flood") for _ in range(LINES_PER_S + 5)][LINES_PER_S:] == [None] * 5
        clock.now_s += 1


def test_a_flood_of_one_kind_hides_no_other(admit: Callable[[str], int | None]) -> None:
    for _ in range(1000):
        admit("flood")
    assert admit("rare") == 0


def test_the_next_line_says_how_many_were_left_out(admit: Callable[[str], int | None], clock: Clock) -> None:
    for _ in range(LINES_PER_S + 7):
        admit("flood")
    clock.now_s += 60
    assert [admit("flood"), admit("flood")] == [7, 0]


def test_an_event_is_one_line_and_one_count() -> None:
    registry = metrics.app_registry()
    metrics.make_current(registry)
    with capture_logs() as lines:
        log_security_event(SecurityEvent.ACCOUNT_CREATED, subject="210041101", role="student")
        log_security_event(SecurityEvent.REFRESH_TOKEN_REUSED, subject="210041101", is_alarm=True)
    assert [(line["event"], line["security_event"], line["log_level"]) for line in lines] == [
        ("account_created", "account_created", "info"),
        ("refresh_token_reused", "refresh_token_reused", "warning"),
    ]
    assert lines[0]["subject"] == "210041101"
    assert registry.get_sample_value("cafeteria_security_events_total", {"event": "account_created"}) == 1


def test_each_status_of_a_refused_person_is_an_event() -> None:
    assert set(BY_STATUS) == {401, 403, 429}
