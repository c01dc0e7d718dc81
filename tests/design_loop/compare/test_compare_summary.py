"""The arms in numbers, and what sets two of them apart."""

from __future__ import annotations

import pytest

from design_loop.compare.summary import differences, hits_area, summarise
from design_loop.config import load_preset, parse_campaign
from tests.design_loop.compare.made_up import OUTCOMES, outcome


@pytest.fixture(scope="module")
def config():
    return load_preset("quickstart", check=False)


def test_hits_of_the_dataset_are_no_discoveries(config):
    rows = {row.arm: row for row in summarise(OUTCOMES, config)}
    hits = rows["random"].hits
    assert (hits.mean, hits.low, hits.high, hits.n) == (0.5, 0, 1, 2)
    assert rows["random"].by_seed == (1, 0)
    assert rows["nearest"].hits.high == 0
    assert rows["nearest"].hits.interval is None
    assert rows["nearest"].known_hits.mean == 2
    assert rows["random"].best_error.mean == pytest.approx(0.15)
    assert rows["random"].calls.mean == 4  # the one that failed has cost a call, too


def test_hits_relative_to_random_need_hits_of_random(config):
    tpe = outcome("tpe", 0, [0.0, 0.0, 0.1])
    rows = {row.arm: row for row in summarise([*OUTCOMES, tpe], config)}
    assert rows["tpe"].times_random == 4
    assert rows["random"].times_random == 1
    misses = [outcome("random", 0, [0.1]), tpe]
    assert [row.times_random for row in summarise(misses, config)] == [None, None]


def test_the_area_is_1_if_every_call_is_a_hit_and_larger_for_earlier_hits():
    assert hits_area(outcome("a", 0, [0.0] * 5, failed=0), 5) == 1
    assert hits_area(outcome("a", 0, [0.1] * 5), 5) == 0
    early = outcome("a", 0, [0.0, 0.0, 0.1, 0.1])
    late = outcome("a", 0, [0.1, 0.1, 0.0, 0.0])
    # Hits so far: 1, 2, 2, 2 and 0, 0, 1, 2, of 1, 2, 3, 4.
    assert hits_area(early, 4) == pytest.approx(7 / 10)
    assert hits_area(late, 4) == pytest.approx(3 / 10)
    # Fewer calls than there might have been: what was found stays.
    assert hits_area(early, 6) == pytest.approx((1 + 2 * 5) / 21)
    assert hits_area(outcome("a", 0, [0.0, 0.0], known=(0,)), 2) == pytest.approx(1 / 3)
    assert hits_area(early, 0) is None


def test_an_area_is_over_the_whole_budget_and_its_interval_inside_0_and_1(config):
    made = [outcome("tpe", seed, [0.0] * n, failed=0) for seed, n in enumerate((2, 40))]
    [row] = summarise(made, config)
    budget = max(config.rounds * config.selection.budget, 40)
    assert row.area.low == pytest.approx((2 * budget - 1) / (budget * (budget + 1) / 2))
    assert row.area.interval == (0, 1)
    assert row.hits.interval == (0, budget)


def test_errors_of_goals_may_be_negative_and_infinite_ones_are_none(config):
    text = config.to_yaml()
    start, end = text.index("targets:"), text.index("properties:")
    goal = text[:start] + "targets: [{property: homo_lumo_gap, goal: minimize}]\n" + text[end:]
    made = [outcome("tpe", 0, [0.1]), outcome("tpe", 1, [-0.3]), outcome("tpe", 2, [float("inf")])]
    [row] = summarise(made, parse_campaign(goal))
    assert row.best_error.mean == pytest.approx(-0.1)
    assert row.best_error.n == 2
    assert row.best_error.interval[0] < -1


def test_differences_are_of_the_seeds_that_both_arms_had():
    made = [
        outcome("llm", 0, [0.0, 0.0, 0.0]),
        outcome("llm", 2, [0.0, 0.0, 0.1]),
        outcome("random", 0, [0.0, 0.1, 0.1]),
        outcome("random", 1, [0.0, 0.0, 0.0]),
        outcome("random", 2, [0.1, 0.1, 0.1]),
        outcome("tpe", 1, [0.0, 0.0, 0.1]),
        outcome("genetic", 2, [0.0, 0.0, 0.0]),
    ]
    found = {(d.first, d.second): d for d in differences(made)}
    # Searches are set against random alone; llm and tpe have no seed in common.
    assert set(found) == {
        ("llm", "random"), ("llm", "genetic"), ("tpe", "random"), ("genetic", "random")
    }  # fmt: skip
    pair = found["llm", "random"]
    assert (pair.seeds, pair.by_seed) == ((0, 2), (2, 2))
    assert (pair.hits.mean, pair.hits.interval) == (2, (2, 2))
    lone = found["llm", "genetic"]
    assert (lone.seeds, lone.by_seed, lone.hits.interval) == ((2,), (-1,), None)


def test_pairing_by_seed_takes_out_what_the_seeds_have_in_common():
    made = []
    for seed, count in enumerate((1, 5, 9)):
        made.append(outcome("llm", seed, [0.0] * (count + 2)))
        made.append(outcome("random", seed, [0.0] * count))
    [pair] = differences(made)
    assert pair.hits.interval == (2, 2)
    noisy = [*made[:-1], outcome("random", 2, [0.0] * 12)]
    low, high = differences(noisy)[0].hits.interval
    assert low < 0 < high  # counts may be negative here
