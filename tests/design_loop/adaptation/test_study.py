"""The sampler of settings: deterministic, inside its bounds, and it finds what yields."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from design_loop.adaptation.arms import Arm, RoundPlan
from design_loop.adaptation.leader import leader, log_ratio
from design_loop.adaptation.study import ask
from design_loop.adaptation.yields import ArmYield

BOUNDS = {"temperature": (0.5, 2.0), "top_p": (0.8, 1.0), "target_jitter": (0.0, 0.5)}
CONFIGURED = {"index": 0, "temperature": 1.0, "top_p": 0.9, "target_jitter": 0.0}


def _yield(number, index, settings, worth, samples=100):
    return ArmYield(number, {"index": index, **settings}, samples, worth)


def _history(rounds, rate, seed=1, level=lambda number: 1.0):
    """Rounds of four settings each, asked one after the other from what came before."""
    rng = np.random.default_rng(seed)
    history = []
    for number in range(1, rounds + 1):
        asked, _ = ask(history, BOUNDS, 3, seed=number, startup=8)
        rows = [CONFIGURED, *({"index": i, **row} for i, row in enumerate(asked, start=1))]
        for row in rows:
            worth = rng.binomial(100, rate(row) * level(number))
            history.append(ArmYield(number, row, 100, float(worth)))
    return history


def test_the_same_ledger_asks_the_same_settings():
    history = _history(4, lambda row: 0.2)
    first = ask(history, BOUNDS, 3, seed=11, startup=4)
    assert ask(history, BOUNDS, 3, seed=11, startup=4) == first
    assert ask(history, BOUNDS, 3, seed=12, startup=4) != first
    assert first[1] == len(history)
    for row in first[0]:
        assert all(BOUNDS[name][0] <= value <= BOUNDS[name][1] for name, value in row.items())
    temperatures = [row["temperature"] for row in first[0]]
    assert len(set(temperatures)) == 3


def test_it_finds_the_temperature_that_yields_though_the_level_drifts():
    """Yields fall by a factor of eight over the campaign; the configured setting takes that out."""

    def rate(row):
        return 0.05 + 0.4 * math.exp(-(((row["temperature"] - 1.6) / 0.2) ** 2))

    history = _history(12, rate, level=lambda number: 0.84**number)
    late = [y.settings["temperature"] for y in history if y.round > 8 and y.settings["index"]]
    near = np.mean([abs(t - 1.6) < 0.3 for t in late])
    # Drawn evenly from the bounds 40 % would lie there.
    assert near >= 0.7, late


def test_a_setting_outside_todays_bounds_is_left_out_and_a_fixed_one_is_not_asked():
    history = [
        _yield(1, 0, CONFIGURED, 20),
        _yield(1, 1, {**CONFIGURED, "temperature": 3.0}, 20),
        _yield(2, 0, {**CONFIGURED, "temperature": 0.1}, 20),
        _yield(2, 1, {**CONFIGURED, "temperature": 1.2}, 0, samples=0),
    ]
    asked, told = ask(history, BOUNDS | {"top_p": (0.9, 0.9)}, 2, seed=1, startup=8)
    assert told == 1
    assert [row["top_p"] for row in asked] == [0.9, 0.9]
    everything = {name: (low, low) for name, (low, _) in BOUNDS.items()}
    assert ask(history, everything, 2, seed=1, startup=8) == (
        [{"temperature": 0.5, "top_p": 0.8, "target_jitter": 0.0}] * 2,
        0,
    )


@pytest.mark.parametrize(("worth", "sign"), [(5.0, -1), (10.0, 0), (20.0, 1)])
def test_a_setting_is_measured_against_the_configured_one(worth, sign):
    value = log_ratio(_yield(1, 1, CONFIGURED, worth), _yield(1, 0, CONFIGURED, 10.0))
    assert np.sign(round(value, 9)) == sign


def test_nothing_found_anywhere_says_nothing():
    nothing = _yield(1, 0, CONFIGURED, 0.0)
    assert log_ratio(nothing, nothing) == 0.0


def test_the_configured_setting_leads_until_another_is_better_beyond_doubt():
    hot = {**CONFIGURED, "temperature": 1.6}
    assert leader([], BOUNDS) is None
    doubtful = [_yield(1, 0, CONFIGURED, 4), _yield(1, 2, hot, 6)]
    assert leader(doubtful, BOUNDS) is None
    sure = [*doubtful, _yield(2, 0, CONFIGURED, 20), _yield(2, 2, hot, 60)]
    assert leader(sure, BOUNDS) == {name: hot[name] for name in BOUNDS}
    assert leader(sure, BOUNDS | {"temperature": (0.5, 1.2)}) is None


def test_a_lucky_setting_among_bad_neighbours_does_not_lead():
    history = []
    for number in range(1, 7):
        history.append(_yield(number, 0, CONFIGURED, 20))
        near = {**CONFIGURED, "temperature": 1.6 + 0.01 * number}
        history.append(_yield(number, 2, near, 32 if number == 3 else 5))
        good = {**CONFIGURED, "temperature": 0.6 + 0.01 * number}
        history.append(_yield(number, 3, good, 30))
    assert leader(history, BOUNDS)["temperature"] < 0.7


def test_a_leader_that_is_the_configured_setting_counts_with_it():
    history = [_yield(1, 0, CONFIGURED, 0, samples=10), _yield(1, 1, CONFIGURED, 30)]
    history.append(_yield(1, 2, {**CONFIGURED, "temperature": 1.6}, 4, samples=10))
    # Against 30 of 110 four of ten are little more; against none of ten they would lead.
    assert leader(history, BOUNDS) is None


def test_half_of_the_prompts_are_the_leaders_and_the_others_share_the_rest():
    plan = RoundPlan(tuple(Arm(i, 1.0, 0.9, 0.0) for i in range(4)))
    counts = Counter(plan.arm_of(prompt).index for prompt in range(48))
    assert counts == {1: 24, 0: 8, 2: 8, 3: 8}
    alone = RoundPlan((Arm(0, 1.0, 0.9, 0.0),))
    assert {alone.arm_of(prompt).index for prompt in range(5)} == {0}
