"""What the edge takes for a request."""

import pytest

from cafeteria.bench.consistency import StoredCounts
from cafeteria.bench.edge import CPU, THROUGH, cpu_row
from cafeteria.bench.flow import Round
from cafeteria.bench.generator import Load
from cafeteria.bench.machine import Usage


def a_round(*, edge_cpu_s: float, answers: dict[int, int]) -> Round:
    usage = Usage(
        seconds=10, cpu_s={"edge": edge_cpu_s, "gateway": 5}, generator_s=1, steal=0, others=0, load_average=1
    )
    load = Load(seconds=10, answers=answers, p50_ms=1, p99_ms=2, max_ms=3, errors=0, timeouts=0)
    return Round(
        load=load,
        usage=usage,
        piece_us=1,
        carried_per_s=1,
        drain_s=1,
        carried_cpu_s={"edge": 10 * edge_cpu_s},
        stored=StoredCounts(orders=1, ready=1, rejected=0, notified=4, tickets=1, taken=1),
        errors=[],
    )


def test_refused_requests_count_and_the_time_after_the_load_does_not() -> None:
    row = cpu_row({THROUGH: [a_round(edge_cpu_s=0.3, answers={201: 2000, 503: 1000})]})
    assert (row.what, row.unit) == (CPU, "µs")
    assert row.by[THROUGH].values == (pytest.approx(100.0),)


def test_without_an_answer_there_is_no_division_by_zero() -> None:
    row = cpu_row({THROUGH: [a_round(edge_cpu_s=0.0, answers={})]})
    assert row.by[THROUGH].values == (0.0,)
