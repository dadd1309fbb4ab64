"""Figures of a benchmark: medians, ratios by round, and targets."""

import pytest

from cafeteria.bench.report import Ratio, Report, Series, row_of
from cafeteria.bench.speed import SpeedProbe
from cafeteria.bench.tables import ACCEPTED, CPU, PIECE, at_one_speed


def test_a_series_shows_its_median_and_spread() -> None:
    assert Series((3.0, 1.0, 2.0)).median == 2.0
    assert str(Series((300.0, 100.0, 200.0))) == "200  [100 to 300]"


def test_a_ratio_compares_round_by_round() -> None:
    row = row_of("orders accepted", "1/s", {"product": [75.0, 90.0], "floor": [100.0, 100.0]})
    ratio = Ratio.between("of the floor", row, of="product", to="floor", target=0.8)
    assert ratio.values.values == (0.75, 0.9)
    assert ratio.is_met


def test_an_upper_limit_is_missed_above_its_target() -> None:
    assert Ratio(what="cpu", values=Series((1.4,)), target=1.4, at_least=False).is_met
    assert not Ratio(what="cpu", values=Series((1.5,)), target=1.4, at_least=False).is_met


def test_a_ratio_to_nothing_is_zero() -> None:
    row = row_of("orders accepted", "1/s", {"product": [75.0], "floor": [0.0]})
    assert Ratio.between("of the floor", row, of="product", to="floor", target=0.8).values.values == (0.0,)


def test_a_report_finds_its_rows_by_name() -> None:
    row = row_of("orders accepted", "1/s", {"product": [75.0]})
    report = Report(name="accept", measures="orders", settings={}, rows=(row,))
    assert report.row("orders accepted") is row
    assert report.with_ratios().ratios == ()


def test_rates_and_costs_are_corrected_for_a_slower_machine() -> None:
    """In the second round everything took twice as long."""
    rows = (
        row_of(ACCEPTED, "1/s", {"product": [80.0, 40.0], "floor": [100.0, 50.0]}),
        row_of(CPU, "µs", {"product": [20.0, 40.0], "floor": [16.0, 32.0]}),
        row_of(PIECE, "µs", {"product": [10.0, 20.0], "floor": [10.0, 20.0]}),
    )
    report = Report(name="accept", measures="orders", settings={}, rows=rows)
    rates, costs = at_one_speed(report, ACCEPTED), at_one_speed(report, CPU)
    assert [series.values[0] / series.values[1] for series in rates.by.values()] == [1.0, 1.0]
    assert [series.values[0] / series.values[1] for series in costs.by.values()] == [1.0, 1.0]
    assert rates.by["product"].median / rates.by["floor"].median == pytest.approx(0.8)
    assert costs.by["product"].median / costs.by["floor"].median == pytest.approx(1.25)


async def test_the_probe_measures_the_cpu_time_of_its_piece_of_work() -> None:
    async with SpeedProbe() as probe:
        pass
    assert 50 < probe.mean_us < 1_000_000
