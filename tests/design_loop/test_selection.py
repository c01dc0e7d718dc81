"""Selection: expected improvement against closed forms, shares of the budget, reasons."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.targets import Target, probability_of_meeting
from design_loop.selection import Screened, select
from design_loop.selection.hypervolume import improvements
from design_loop.selection.improvement import Improvement, expected_improvement
from design_loop.selection.strategies import STRATEGIES

HOST = get_host("MoS2", "4x4")
RULES = Rules(defects=("V_S", "Se_S", "W_Mo"), max_defects=4)
GAP = Target(property="gap", min=0.6, max=0.9)


def made(n, seed=0, properties=("gap",), ood=()):
    rng = np.random.default_rng(seed)
    found = {}
    while len(found) < n:
        c = random_configuration(HOST, RULES, rng)
        found.setdefault(c.key, c)
    rows = []
    for i, (key, c) in enumerate(found.items()):
        mean = {p: float(rng.uniform(0, 2)) for p in properties}
        std = {p: float(rng.uniform(0.01, 0.3)) for p in properties}
        rows.append(Screened(key, c, mean, std, GAP.error(mean["gap"]), i in ood))
    return rows


def chosen(rows, targets=(GAP,), **settings_):
    fields = {"quantile": 0.25, "budget": 6, "diversity": 0.3} | settings_
    return select(rows, targets, **fields)


def one(mean, std, properties=("a",)):
    c = random_configuration(HOST, RULES, np.random.default_rng(1))
    return Screened(
        "x",
        c,
        dict(zip(properties, mean, strict=True)),
        dict(zip(properties, std, strict=True)),
        0.0,
    )


def test_the_error_keeps_and_the_probability_orders():
    rows = made(40)
    kept = sorted(rows, key=lambda c: c.surrogate_error)[:10]
    chance = {c.key: probability_of_meeting([GAP], c.mean, c.std) for c in rows}
    inside = {c.key: GAP.satisfied(c.mean["gap"]) for c in rows}
    wanted = sorted(kept, key=lambda c: (not inside[c.key], -chance[c.key]))[:6]
    assert len({inside[c.key] for c in kept}) == 2
    choices = chosen(rows, diversity=0.0)
    assert [c.key for c in choices] == [c.key for c in wanted]
    assert [c.parts["place"] for c in choices] == [c.rank for c in choices] == [1, 2, 3, 4, 5, 6]


def test_what_goes_before_the_probability_is_said():
    """The less probable one comes first for being inside of both: record and words say so."""
    targets = (Target(property="a", max=1.0), Target(property="b", max=1.0))
    inside = one((0.99, 0.99), (0.3, 0.3), ("a", "b"))
    outside = one((1.001, 0.0), (0.01, 0.01), ("a", "b"))
    rows = [
        Screened(name, c.configuration, s.mean, s.std, max(s.mean["a"] - 1, 0.0))
        for (name, s), c in zip({"in": inside, "out": outside}.items(), made(2), strict=True)
    ]
    first, second = chosen(rows, targets=targets, quantile=1.0, diversity=0.0)
    assert (first.key, second.key) == ("in", "out")
    assert first.parts["probability"] < second.parts["probability"]
    assert (first.parts["meets"], second.parts["meets"]) == (True, False)
    assert "predicted inside all targets" in first.reason
    assert "predicted outside of the targets" in second.reason
    assert first.reason.endswith("place 1 of 2 kept of 2")
    # With a goal the error orders, and nothing is said of a key that is none.
    goal = (*targets, Target(property="c", goal="minimize", reference=0.0))
    rows = [replace(c, mean={**c.mean, "c": 0.0}, std={**c.std, "c": 0.1}) for c in rows]
    assert all("inside" not in c.reason for c in chosen(rows, targets=goal, quantile=1.0))


def test_a_sure_miss_comes_after_a_doubtful_one():
    """Of a target that nothing meets yet, the nearest by the mean is not the likeliest."""
    near, far = one((0.95,), (0.005,), ("gap",)), one((1.0,), (0.1,), ("gap",))
    rows = [
        Screened(name, c.configuration, s.mean, s.std, GAP.error(s.mean["gap"]))
        for (name, s), c in zip({"near": near, "far": far}.items(), made(2), strict=True)
    ]
    choices = chosen(rows, quantile=1.0, diversity=0.0)
    assert [c.key for c in choices] == ["far", "near"]


def test_where_there_is_a_goal_the_error_orders():
    low = Target(property="gap", goal="minimize", reference=0.0)
    rows = made(20)
    choices = chosen(rows, targets=(low,), quantile=1.0, diversity=0.0, budget=20)
    errors = {c.key: c.surrogate_error for c in rows}
    assert [errors[c.key] for c in choices] == sorted(errors.values())


def test_nothing_beyond_the_quantile_is_chosen_but_to_use_the_budget_up():
    rows = made(40)
    best = sorted(c.surrogate_error for c in rows)[:10]
    errors = {c.key: c.surrogate_error for c in rows}
    assert all(errors[c.key] <= best[-1] for c in chosen(rows, diversity=1.0))
    assert len(chosen(rows, budget=20)) == 20


def test_probability_asks_for_mean_and_spread():
    sure, lucky, far = one((0.85,), (0.01,), ("gap",)), one((0.75,), (0.3,), ("gap",)), None
    far = one((1.2,), (0.01,), ("gap",))
    rows = [
        Screened(name, c, s.mean, s.std, GAP.error(s.mean["gap"]))
        for (name, s), c in zip(
            {"sure": sure, "lucky": lucky, "far": far}.items(),
            [r.configuration for r in made(3)],
            strict=True,
        )
    ]
    choices = chosen(rows, strategy="probability", diversity=0.0, quantile=1.0)
    assert [c.key for c in choices] == ["sure", "lucky", "far"]
    assert choices[1].parts["probability"] == pytest.approx(
        norm.cdf(0.9, 0.75, 0.3) - norm.cdf(0.6, 0.75, 0.3)
    )


def test_a_goal_is_probable_where_it_beats_the_best_label():
    goal = Target(property="a", goal="minimize")
    [score] = STRATEGIES["probability"].scores(
        [one((1.0,), (0.5,))], [goal], [{"a": 1.5}, {"a": 0.7}], np.random.default_rng(0)
    )
    assert score.parts["probability"] == pytest.approx(norm.cdf((0.7 - 1.0) / 0.5))


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-2, 2),
    st.floats(0.05, 2),
    st.floats(-2, 2),
    st.sampled_from(["minimize", "maximize"]),
)
def test_expected_improvement_is_the_integral(mean, std, best, goal):
    target = Target(property="a", goal=goal, scale=2.0)
    sign = 1 if goal == "minimize" else -1
    grid = np.linspace(mean - 9 * std, mean + 9 * std, 20_001)
    gain = np.maximum(best - sign * grid / 2.0, 0.0) * norm.pdf(grid, mean, std)
    wanted = float(np.trapezoid(gain, grid))
    assert expected_improvement(target, one((mean,), (std,)), best) == pytest.approx(
        wanted, abs=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5),
    st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)),
    st.tuples(st.floats(0.05, 0.5), st.floats(0.05, 0.5)),
)
def test_ehvi_of_two_goals_is_the_closed_form(front, mean, std):
    """Sum over the strips of the staircase of products of two one-dimensional expectations."""
    targets = [Target(property=p, goal="minimize") for p in ("a", "b")]
    known = [{"a": a, "b": b} for a, b in front]
    from design_loop.selection.improvement import known_front

    corners, reference = known_front(targets, [], known)
    strategy = Improvement()
    [score] = strategy.scores(
        [one(mean, std, ("a", "b"))], targets, known, np.random.default_rng(0)
    )

    def psi(upper, m, s):
        """E[(upper - X)+]."""
        z = (upper - m) / s
        return (upper - m) * norm.cdf(z) + s * norm.pdf(z)

    ordered = corners[np.argsort(corners[:, 0])]
    left = np.append(-np.inf, ordered[:, 0])
    right = np.append(ordered[:, 0], reference[0])
    ceiling = np.append(reference[1], np.minimum.accumulate(ordered[:, 1]))
    wanted = sum(
        (psi(r, mean[0], std[0]) - (psi(a, mean[0], std[0]) if np.isfinite(a) else 0.0))
        * psi(c, mean[1], std[1])
        for a, r, c in zip(left, right, ceiling, strict=True)
    )
    assert score.parts["expected_improvement"] == pytest.approx(wanted, rel=0.08, abs=4e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3).flatmap(
        lambda m: st.tuples(
            st.lists(st.lists(st.floats(0, 1), min_size=m, max_size=m), max_size=6),
            st.lists(
                st.lists(st.floats(-0.2, 1.2), min_size=m, max_size=m), min_size=1, max_size=4
            ),
        )
    )
)
def test_a_point_adds_the_difference_of_two_hypervolumes(case):
    import moocore

    front, points = case
    m = len(points[0])
    front = np.array(front).reshape(-1, m)
    reference = np.full(m, 1.0)

    def volume(rows):
        inside = rows[(rows < 1.0).all(axis=1)]
        return moocore.hypervolume(inside, ref=reference) if len(inside) else 0.0

    wanted = [volume(np.vstack([front, [p]])) - volume(front) for p in points]
    assert improvements(np.array(points), front, reference) == pytest.approx(wanted, abs=1e-9)


def test_constraints_weigh_an_improvement_by_their_probability():
    goal, bound = Target(property="a", goal="minimize"), Target(property="b", max=1.0)
    known = [{"a": 0.5, "b": 0.2}, {"a": -9.0, "b": 3.0}]  # the better one is no hit
    scores = Improvement().scores(
        [one((0.4, b), (0.1, 0.2), ("a", "b")) for b in (0.0, 1.0, 9.0)],
        [goal, bound], known, np.random.default_rng(0),
    )  # fmt: skip
    free = expected_improvement(goal, one((0.4,), (0.1,)), 0.5)
    gains = [s.parts["expected_improvement"] for s in scores]
    assert gains == pytest.approx([free, free / 2, 0.0], abs=1e-6)


def test_a_value_is_improved_towards():
    value = Target(property="a", value=1.0, tolerance=0.1)
    near, far = one((1.02,), (0.01,)), one((1.4,), (0.01,))
    scores = Improvement().scores([near, far], [value], [{"a": 1.3}], np.random.default_rng(0))
    assert scores[0].order < scores[1].order
    assert scores[0].parts["expected_improvement"] == pytest.approx(2.8, abs=0.02)
    assert scores[1].parts["expected_improvement"] == 0.0


def test_exploration_takes_its_share_of_the_least_certain():
    rows = made(60)
    choices = chosen(rows, budget=10, exploration=0.3, diversity=0.0)
    shares = [c.parts["share"] for c in choices]
    assert shares == ["best"] * 7 + ["explore"] * 3
    by_key = {c.key: c for c in rows}
    taken = {c.key for c in choices[:7]}
    widest = sorted((c.std["gap"] for c in rows if c.key not in taken), reverse=True)[:3]
    assert [by_key[c.key].std["gap"] for c in choices[7:]] == widest


@pytest.mark.parametrize("mode", ["ignore", "avoid", "explore"])
def test_what_lies_outside_of_the_domain(mode):
    rows = made(30)
    best = {c.key for c in chosen(rows, budget=8, quantile=1.0, diversity=0.0)}
    rows = made(30, ood={i for i, c in enumerate(rows) if c.key in best})
    share = 0.5 if mode == "explore" else 0.0
    choices = chosen(
        rows, budget=8, quantile=1.0, diversity=0.0, out_of_domain=mode, exploration=share
    )
    outside = [c.parts["out_of_domain"] for c in choices]
    assert outside == {
        "ignore": [True] * 8, "avoid": [False] * 8, "explore": [False] * 4 + [True] * 4,
    }[mode]  # fmt: skip
    everything = chosen(rows, budget=30, out_of_domain=mode, exploration=share)
    assert len({c.key for c in everything}) == 30
    if mode == "avoid":
        assert [c.parts["share"] for c in everything] == ["best"] * 22 + ["reserve"] * 8


def test_what_is_not_trusted_is_for_exploration_only():
    rows = made(30)
    limits = {"gap": 0.1}
    wide = {c.key for c in rows if c.std["gap"] > 0.1}
    assert not wide & {c.key for c in chosen(rows, budget=20, max_std=limits)}
    explored = [
        c for c in chosen(rows, budget=8, max_std=limits, exploration=0.25)
        if c.parts["share"] == "explore"
    ]  # fmt: skip
    assert len(explored) == 2
    assert {c.key for c in explored} <= wide


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_choice_says_why(strategy):
    import json

    rows = made(40, properties=("gap", "cost"))
    targets = [
        Target(property="gap", value=0.8, tolerance=0.1),
        Target(property="cost", goal="minimize", scale=0.5),
    ]
    known = [
        {"gap": c.mean["gap"], "cost": 1.0 + c.std["cost"]} for c in made(20, 7, ("gap", "cost"))
    ]
    choices = chosen(rows, targets, strategy=strategy, exploration=0.2, known=known, budget=10)
    assert len(choices) == 10
    for c in choices:
        assert c.parts["strategy"] == strategy
        assert 0 <= c.parts["nearest"] <= 1
        kept = f"{c.parts['kept']} kept of " if c.parts["share"] == "best" else ""
        assert f"place {c.parts['place']} of {kept}{c.parts['of']}" in c.reason
        numbers = [v for v in c.parts.values() if isinstance(v, float)]
        assert all(math.isfinite(v) for v in numbers)
        assert json.loads(json.dumps(dict(c.parts))) == dict(c.parts)
    again = chosen(rows, targets, strategy=strategy, exploration=0.2, known=known, budget=10)
    assert again == choices


def test_no_candidates_no_choices():
    assert chosen([]) == []
