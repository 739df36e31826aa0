from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Spread, percentile

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


def test_percentiles_are_values_by_nearest_rank() -> None:
    values = [float(number) for number in range(500, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (250, 495, 500)


@given(VALUES, st.floats(1, 100))
def test_a_percentile_is_not_exceeded_by_that_share(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-6


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


def test_a_spread_says_how_far_values_lie_apart() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).text(" s") == "2.00 s (1.00 to 3.00)"
    assert Spread.of([1.5]).text(" s") == "1.50 s"
