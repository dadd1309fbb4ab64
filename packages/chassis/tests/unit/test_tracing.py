"""A received trace continues under a new span; an invalid one is replaced by a new trace."""

import asyncio
import re
from collections.abc import Iterator

import pytest

from cafeteria.chassis.observability import tracing

SENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SHAPE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.fixture(autouse=True)
def no_current_trace() -> Iterator[None]:
    token = tracing._current.set(None)
    yield
    tracing._current.reset(token)


def test_a_received_trace_continues_under_a_new_span() -> None:
    ours = tracing.enter(SENT)
    assert SHAPE.fullmatch(ours)
    assert ours[:36] == SENT[:36]
    assert ours[36:52] != SENT[36:52]
    assert tracing.current() == ours
    assert tracing.trace_id() == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "",
        "00-xyz",
        SENT.upper(),
        SENT + "-extra",
        "ff" + SENT[2:],
        "00-" + "0" * 32 + SENT[35:],
        SENT[:36] + "0" * 16 + "-01",
    ],
)
def test_without_a_valid_trace_one_is_started(broken: str | None) -> None:
    ours = tracing.enter(broken)
    assert SHAPE.fullmatch(ours)
    assert ours[3:35] not in (broken or "")


def test_a_later_version_of_the_format_is_read_as_far_as_it_is_defined() -> None:
    ours = tracing.enter("01" + SENT[2:] + "-more")
    assert ours[:36] == SENT[:36]


async def test_a_new_task_inherits_the_trace() -> None:
    async def current() -> str | None:
        return tracing.current()

    ours = tracing.enter(SENT)
    assert await asyncio.create_task(current()) == ours
