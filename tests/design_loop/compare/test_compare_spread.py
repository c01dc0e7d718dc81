"""A figure over the seeds and its interval."""

from __future__ import annotations

import math

import pytest

from design_loop.compare.spread import Spread, mean_interval


def test_intervals_are_student_t_over_seeds_and_inside_what_is_possible():
    # From a table: 4.30265 at 2 degrees of freedom. The variance of 14, 18, 13 is 7.
    low, high = mean_interval([14, 18, 13])
    assert (low, high) == pytest.approx(
        (15 - 4.30265 * (7 / 3) ** 0.5, 15 + 4.30265 * (7 / 3) ** 0.5)
    )
    assert mean_interval([0, 1]) == pytest.approx((0, 0.5 + 12.7062 * 0.5), rel=1e-4)
    assert mean_interval([0, 1], ceiling=4) == (0, 4)
    low, high = mean_interval([0, 1], floor=-math.inf)
    assert (low + high) / 2 == pytest.approx(0.5)
    assert mean_interval([3]) is None


def test_spreads_in_words():
    assert Spread.of([1, 2, 6]).text() == "3.0 (0.0–9.6)"
    assert Spread.of([0.1234, 0.2]).text(3) == "0.162 (0.000–0.648)"
    assert Spread.of([24, 24]).text(0) == "24 (=)"
    assert Spread.of([24]).text() == "24.0 (n=1)"
    assert Spread.of([]) is None
    # What may be negative has words between its ends, and signs where they matter.
    assert Spread.of([1, 2, 6], floor=-math.inf).text() == "3.0 (-3.6 to 9.6)"
    assert Spread.of([3, 3], floor=-math.inf).text(sign="+") == "+3.0 (=)"
    found = Spread.of([1, 2, 6])
    assert (found.low, found.high, found.n) == (1, 6, 3)
