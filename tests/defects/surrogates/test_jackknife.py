from __future__ import annotations

import numpy as np
import pytest

from defects.surrogates.jackknife import jackknife_error


def test_of_a_mean_it_is_the_standard_error() -> None:
    # Groups of one label: the jackknife of the mean is exactly s / sqrt(n).
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    without = np.array([np.delete(values, k).mean() for k in range(5)])
    expected = values.std(ddof=1) / np.sqrt(5)
    assert jackknife_error(without[:, None])[0] == pytest.approx(expected)


def test_groups_of_labels_tell_the_same_on_average() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        groups = rng.normal(size=(10, 40))
        without = [np.delete(groups, k, axis=0).mean() for k in range(10)]
        found.append(jackknife_error(np.array(without)[:, None])[0] ** 2)
    assert np.mean(found) == pytest.approx(1 / 400, rel=0.1)


def test_models_that_agree_leave_no_doubt() -> None:
    assert jackknife_error(np.tile([0.5, 1.5], (10, 1))).tolist() == [0.0, 0.0]
