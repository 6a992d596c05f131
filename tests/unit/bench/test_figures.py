"""The benchmark's own arithmetic: medians, ratios, percentiles."""

from __future__ import annotations

import pytest

from bench.speed.contender import Pair, p50, rate
from bench.speed.figures import percentile, ratios, spread
from bench.speed.limit import distinct
from bench.speed.sample import Sample


def sample(commands: int, seconds: float = 1.0, p50_ms: float = 1.0) -> Sample:
    return Sample(commands, seconds, p50_ms, 2 * p50_ms)


def test_a_spread_is_the_median_between_the_lowest_and_the_highest() -> None:
    found = spread([5.0, 1.0, 100.0])
    assert (found.median, found.low, found.high, found.rounds) == (5.0, 1.0, 100.0, 3)


def test_nothing_measured_has_no_median() -> None:
    with pytest.raises(ValueError, match="no round"):
        spread([])


def test_a_ratio_is_taken_round_by_round_so_that_a_slow_moment_of_the_machine_cancels() -> None:
    """The second round was ten times slower for both; of the totals the ratio would be another."""
    assert ratios([1000.0, 90.0, 1000.0], [500.0, 50.0, 500.0]).median == 2.0


def test_halves_of_different_length_are_no_pair() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)])
def test_a_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(number) for number in range(1, 101)], share) == expected


def test_a_rate_is_commands_over_the_seconds_that_really_passed() -> None:
    assert sample(300, 1.5).rate == 200.0


def test_a_pair_divides_ours_by_theirs_in_whatever_figure_is_asked_for() -> None:
    pair = Pair("a", "b", [sample(200, p50_ms=3.0)], [sample(100, p50_ms=2.0)])
    assert pair.ratio(rate).median == 2.0
    assert pair.described(p50)["ratio"]["median"] == 1.5


def test_a_batch_counts_the_commands_it_wrote_and_not_the_ids_it_drew() -> None:
    assert distinct(1, 10_000) == pytest.approx(1.0)
    assert distinct(50, 1) == pytest.approx(1.0)
    assert 49.8 < distinct(50, 10_000) < 50
