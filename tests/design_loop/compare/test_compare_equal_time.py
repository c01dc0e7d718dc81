"""Hits at common times."""

from __future__ import annotations

import pytest

from design_loop.compare.equal_time import equal_time
from tests.design_loop.compare.made_up import outcome

#: Three arms, a label every 1, 10 and 100 s, and their end one pace later.
FAST = outcome("fast", 0, [0.0, 0.1, 0.0, 0.1], pace=1.0, own=0.5)
MIDDLE = outcome("middle", 0, [0.0] * 4, pace=10.0, own=0.5)
SLOW = outcome("slow", 0, [0.0] * 4, pace=100.0, own=30.0)


def _means(found):
    return {arm: [h.mean for h in hits] for arm, hits in found.hits.items()}


def test_arms_are_looked_at_when_the_fastest_the_median_and_the_slowest_end():
    found = equal_time([SLOW, FAST, MIDDLE])
    assert [(m.seconds, m.arm, m.half) for m in found.moments] == [
        (2.5, "fast", True),
        (5, "fast", False),
        (50, "middle", False),
        (500, "slow", False),
    ]
    # An arm that has ended stays at its last value; before its first label it has none.
    assert _means(found) == {
        "slow": [0, 0, 0, 4],
        "fast": [1, 2, 2, 2],
        "middle": [0, 0, 4, 4],
    }
    assert found.call_hours is None


def test_an_arm_ends_with_its_last_campaign_and_intervals_are_over_its_seeds():
    late = outcome("fast", 1, [0.0] * 4, pace=3.0)
    found = equal_time([FAST, late, MIDDLE])
    assert [m.seconds for m in found.moments] == [7.5, 15, 50]
    first = found.hits["fast"][0]
    assert (first.mean, first.n) == (2, 2)
    assert first.interval == (2, 2)
    last = found.hits["fast"][-1]
    assert (last.low, last.high) == (2, 4)
    assert last.interval == (0, 5)  # not above the calls that were made
    assert found.hits["middle"][0].interval is None


def test_a_dear_oracle_makes_what_a_proposer_takes_small():
    found = equal_time([SLOW, FAST, MIDDLE], call_hours=1.0)
    # Four labels and a failed call of an hour each: all three end within a hundredth.
    [half, end] = found.moments
    assert half.half
    assert half.seconds == pytest.approx(2.5 * 3600, rel=0.001)
    assert (end.arm, end.seconds) == ("slow", 5 * 3600 + 150)
    assert _means(found) == {"slow": [2, 4], "fast": [1, 2], "middle": [2, 4]}
    # Of a cheap one the slow arm's own time is most of it.
    cheap = equal_time([SLOW, FAST, MIDDLE], call_hours=1 / 3600)
    assert cheap.moments[-1].seconds == pytest.approx(5 + 150)
    assert _means(cheap)["slow"][:-1] == [0, 0]


def test_known_hits_are_none_at_any_time():
    found = equal_time([outcome("nearest", 0, [0.0, 0.0], known=(0, 1))])
    assert _means(found) == {"nearest": [0, 0]}
    assert [m.half for m in found.moments] == [True, False]
