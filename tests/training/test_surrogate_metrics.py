from __future__ import annotations

import numpy as np
import pytest

from training.surrogate_metrics import conformal_factor, figures, grouped_folds, typical_error


def test_equivalent_configurations_share_a_fold() -> None:
    keys = [f"k{i % 40}" for i in range(120)]
    folds = grouped_folds(keys, 5, seed=0)
    for key in set(keys):
        assert len({int(f) for f, k in zip(folds, keys, strict=True) if k == key}) == 1
    assert np.bincount(folds).tolist() == [24] * 5


def test_folds_do_not_depend_on_the_order() -> None:
    keys = [f"k{i}" for i in range(50)]
    order = np.random.default_rng(0).permutation(50)
    folds = grouped_folds(keys, 5, seed=3)
    shuffled = grouped_folds([keys[i] for i in order], 5, seed=3)
    np.testing.assert_array_equal(shuffled, folds[order])
    assert (grouped_folds(keys, 5, seed=4) != folds).any()


def test_figures_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    found = figures(truth, truth + np.array([0.01, -0.01, 0.03, 0.0]), np.full(4, 0.0099))
    assert found["mae"] == pytest.approx(0.0125)
    assert found["within_20_mev"] == 0.75
    assert found["coverage_90"] == 0.75
    assert found["coverage_1_sigma"] == 0.25
    assert found["r2"] == pytest.approx(1 - (0.0011 / 4) / 1.25)


def test_conformal_factor_covers_what_it_says() -> None:
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.5, 2.0, 4000)
    error = 3.0 * spread * rng.normal(size=4000)
    factor = conformal_factor(error[:2000], spread[:2000])
    covered = np.abs(error[2000:]) <= 1.645 * factor * spread[2000:]
    assert factor == pytest.approx(3.0, rel=0.1)
    assert 0.87 < covered.mean() < 0.93


def test_conformal_factor_leaves_the_fixed_part_of_a_spread_alone() -> None:
    rng = np.random.default_rng(1)
    spread, fixed = rng.uniform(0.5, 2.0, 4000), rng.uniform(0.0, 3.0, 4000)
    error = np.hypot(2.0 * spread, fixed) * rng.normal(size=4000)
    factor = conformal_factor(error[:2000], spread[:2000], fixed=fixed[:2000])
    assert factor == pytest.approx(2.0, rel=0.15)
    width = np.hypot(factor * spread[2000:], fixed[2000:])
    assert 0.87 < (np.abs(error[2000:]) <= 1.645 * width).mean() < 0.93
    # Where the fixed part alone covers everything, nothing is added.
    assert conformal_factor(np.full(50, 0.1), np.ones(50), fixed=1.0) == 0.0


def test_one_outlier_does_not_decide() -> None:
    assert typical_error(np.array([0.01] * 99 + [5.0])) == pytest.approx(0.01)
    assert typical_error(np.array([0.3])) == 0.3
