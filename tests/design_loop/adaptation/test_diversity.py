"""Measures of diversity, and when they say that it has collapsed."""

from __future__ import annotations

import numpy as np
import pytest

from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from design_loop.adaptation.collapse import judge, next_heat
from design_loop.adaptation.diversity import Diversity, Ruler, measure
from design_loop.config.adaptation import CollapseConfig

RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), max_defects=4)
HEALTHY = Diversity(valid=100, unique=0.8, compositions=12.0, distance=9.0, repeated=0.1)
FIRST = [HEALTHY.to_dict()] * 2


@pytest.fixture(scope="module")
def crystals():
    host, rng = get_host("MoS2", (4, 4, 1)), np.random.default_rng(4)
    return [random_configuration(host, RULES, rng) for _ in range(60)]


@pytest.fixture(scope="module")
def ruler(crystals):
    return Ruler(crystals[0].host, RULES, crystals)


def _measure(valid, ruler, earlier=frozenset()):
    return measure(valid, earlier, ruler, np.random.default_rng(1))


def test_one_crystal_over_and_over_has_no_diversity(crystals, ruler):
    found = _measure([crystals[0]] * 20, ruler, {crystals[0].key})
    assert found == Diversity(20, unique=0.05, compositions=1.0, distance=0.0, repeated=1.0)


def test_two_compositions_in_equal_parts_are_two(crystals, ruler):
    other = next(c for c in crystals if c.description != crystals[0].description)
    found = _measure([crystals[0], other] * 10, ruler)
    assert found.compositions == pytest.approx(2.0)
    assert found.unique == 0.1
    # Half of the pairs are one crystal twice.
    pair = ruler.mean_distance([crystals[0], other])
    assert found.distance == pytest.approx(pair * 100 / 190)


def test_random_answers_are_more_diverse_than_neighbours(crystals, ruler):
    alike = [c for c in crystals if c.n_defects == 1]
    assert _measure(crystals, ruler).distance > 2 * _measure(alike, ruler).distance


def test_more_answers_than_are_looked_at_give_nearly_the_same_distance(crystals, ruler):
    whole = ruler.mean_distance(crystals)
    many = _measure(crystals * 20, ruler)
    assert many.valid == 1200
    assert many.distance == pytest.approx(whole, rel=0.1)


def test_no_valid_answer_is_no_collapse(ruler):
    nothing = _measure([], ruler)
    assert nothing.valid == 0
    assert not judge(nothing, FIRST, CollapseConfig()).collapsed


@pytest.mark.parametrize(
    ("changed", "said", "uniform"),
    [
        ({"unique": 0.3}, "30% of the valid answers are different", True),
        ({"compositions": 5.0, "unique": 0.55}, "5.0 compositions in effect, 12.0 in", True),
        ({"distance": 4.0, "unique": 0.55}, "mean distance 4.00, 9.00", True),
        ({"repeated": 0.6}, "60% repeat what earlier rounds proposed", False),
    ],
)
def test_a_measure_at_less_than_half_of_the_first_rounds_is_a_collapse(changed, said, uniform):
    verdict = judge(Diversity(**(HEALTHY.to_dict() | changed)), FIRST, CollapseConfig())
    [finding] = verdict.findings
    assert said in finding
    assert verdict.uniform is uniform


def test_one_composition_of_many_different_crystals_is_what_a_sharp_target_asks_for():
    sharp = Diversity(valid=100, unique=0.75, compositions=1.0, distance=2.0, repeated=0.2)
    assert not judge(sharp, FIRST, CollapseConfig()).collapsed


def test_a_little_less_is_none_and_the_first_rounds_know_only_the_floor():
    less = Diversity(valid=100, unique=0.5, compositions=7.0, distance=5.0, repeated=0.4)
    assert not judge(less, FIRST, CollapseConfig()).collapsed
    low = Diversity(valid=100, unique=0.2, compositions=1.0, distance=0.1, repeated=0.9)
    assert not judge(low, FIRST[:1], CollapseConfig()).collapsed
    lower = Diversity(valid=100, unique=0.05, compositions=1.0, distance=0.1, repeated=0.9)
    assert "only 5%" in judge(lower, [], CollapseConfig()).findings[0]


def test_heat_rises_to_the_bounds_and_falls_step_by_step():
    heat, course = 0, []
    for collapsed in (True, True, True, True, True, False, False, True):
        heat = next_heat(heat, collapsed, 0.25)
        course.append(heat)
    assert course == [1, 2, 3, 4, 4, 3, 2, 3]
