"""Which values a round asks the model for."""

from __future__ import annotations

import numpy as np
import pytest

from defects import asking
from defects.asking import Asking, draw_asked
from defects.targets import Target

GAP, ENERGY = "homo_lumo_gap", "formation_energy_per_site"
WINDOW = Target(property=GAP, min=0.9, max=1.0)


def draws(targets, known, n=400, **settings):
    rng = np.random.default_rng(0)
    return [draw_asked(targets, known, rng, **settings) for _ in range(n)]


def test_a_range_is_spread_over_where_enough_is_known_inside():
    known = [{GAP: v} for v in np.linspace(0.91, 0.99, 5)] + [{GAP: 2.0}]
    values = np.array([a[GAP] for a in draws([WINDOW], known)])
    assert values.min() >= 0.9 and values.max() <= 1.0
    assert np.histogram(values, bins=4, range=(0.9, 1.0))[0].min() > 60


def test_half_of_the_prompts_for_an_unmet_target_ask_for_the_nearest_known_values():
    known = [{GAP: v} for v in (0.3, 0.4, 0.65, 0.8, 1.01, 1.03, 1.06, 1.5)]
    values = np.array([a[GAP] for a in draws([WINDOW], known)])
    inside = (values >= 0.9) & (values <= 1.0)
    assert 0.4 < inside.mean() < 0.6
    assert set(values[~inside]) == {0.8, 1.01, 1.03, 1.06, 0.65}


def test_values_of_several_properties_come_from_one_row():
    targets = [WINDOW, Target(property=ENERGY, max=0.5)]
    known = [{GAP: 0.5 + 0.1 * i, ENERGY: 1.0 + 0.01 * i} for i in range(12)]
    known += [{GAP: 0.95}]  # says nothing of the other property
    bridged = [a for a in draws(targets, known) if a[ENERGY] >= 1.0]
    assert 0.4 < len(bridged) / 400 < 0.6
    assert all(a[ENERGY] == pytest.approx(1.0 + 0.1 * (a[GAP] - 0.5)) for a in bridged)


def test_with_hardly_anything_known_the_target_itself_is_asked_for():
    values = [a[GAP] for a in draws([WINDOW], [{GAP: 0.2}] * 4)]
    assert min(values) >= 0.9 and max(values) <= 1.0


def test_what_is_known_is_ranked_once_for_all_prompts(monkeypatch):
    known = [{GAP: 0.5 + 0.1 * i, ENERGY: 1.0} for i in range(12)]
    targets = [Target(property=GAP, min=3.0, max=3.1), Target(property=ENERGY, max=0.5)]
    rng = np.random.default_rng(0)
    one_by_one = [draw_asked(targets, known, rng, 0.1) for _ in range(50)]
    ranked = []
    whole = asking.surrogate_error
    monkeypatch.setattr(asking, "surrogate_error", lambda *a: ranked.append(1) or whole(*a))
    rng, many = np.random.default_rng(0), Asking(targets, known)
    assert [many.draw(rng, 0.1) for _ in range(50)] == one_by_one
    assert len(ranked) == len(known)


def test_an_unmet_target_is_also_asked_for_by_what_the_model_was_taught():
    known = [{GAP: v} for v in (0.3, 0.4, 0.65, 0.8, 1.5)]
    taught = [{GAP: round(1.0 + 0.002 * i, 3)} for i in range(100)] + [{ENERGY: 0.1}]
    rng, asked = np.random.default_rng(0), Asking([WINDOW], known, taught)
    values = np.array([asked.draw(rng)[GAP] for _ in range(1000)])
    outside = values[(values < 0.9) | (values > 1.0)]
    of_taught = set(outside) - {0.3, 0.4, 0.65, 0.8, 1.5}
    assert max(of_taught) == pytest.approx(1.078)  # the forty nearest
    assert len(of_taught) > 30
    # Where enough is known nothing else is needed.
    enough = Asking([WINDOW], [{GAP: 0.95}] * 5, taught)
    assert all(0.9 <= enough.draw(rng)[GAP] <= 1.0 for _ in range(50))
