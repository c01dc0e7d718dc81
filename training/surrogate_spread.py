"""Fits the spread of a surrogate: how large its held-out errors are, from the features."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.catboost_fit import quiet_catboost
from training.surrogate_task import FitOptions

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

SPREAD_PARAMETERS: dict[str, Any] = {
    "iterations": 120,
    "learning_rate": 0.08,
    "depth": 4,
    "l2_leaf_reg": 3.0,
    "random_strength": 0,
}
#: Residuals below this share of their median count as equal: ln |r| has no lower bound.
FLOOR = 0.1


@dataclass
class SpreadFit:
    """The model of the spread.

    Attributes
    ----------
    model : CatBoostRegressor
        Predicts ln |residual| from the features.
    held_out : ndarray, shape (n,)
        Spread of each label by a model that did not see its residual.
    """

    model: CatBoostRegressor
    held_out: np.ndarray


def fit_spread(
    features: np.ndarray, residual: np.ndarray, folds: np.ndarray, options: FitOptions
) -> SpreadFit:
    """Fit the size of held-out residuals, once with all and once per fold without it."""
    iterations = min(SPREAD_PARAMETERS["iterations"], options.iterations)
    parameters = {**SPREAD_PARAMETERS, "iterations": iterations}
    size = np.abs(residual)
    log = np.log(size + max(FLOOR * float(np.median(size)), 1e-12))

    def fitted(rows: np.ndarray) -> CatBoostRegressor:
        return quiet_catboost(options.seed, **parameters).fit(features[rows], log[rows])

    n_folds = int(folds.max()) + 1
    everything = np.ones(len(folds), dtype=bool)
    with ThreadPoolExecutor(options.threads) as pool:
        *parts, whole = pool.map(fitted, [*(folds != k for k in range(n_folds)), everything])
    held_out = np.empty(len(folds))
    for k, model in enumerate(parts):
        held_out[folds == k] = np.exp(model.predict(features[folds == k], thread_count=1))
    return SpreadFit(whole, held_out)
