"""One CatBoost model per fold on given columns, with the hyperparameters of wide tables."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.catboost_fit import quiet_catboost
from training.surrogate_task import FitOptions

if TYPE_CHECKING:
    from catboost import CatBoostRegressor


@dataclass(frozen=True)
class BoostSettings:
    """Hyperparameters of CatBoost.

    Attributes
    ----------
    column_share : float
        Share of the columns among which a split is looked for. Thousands of columns that say
        nearly the same make it the main cost of a fit.
    """

    depth: int = 6
    learning_rate: float = 0.15
    l2_leaf_reg: float = 1.0
    subsample: float = 0.7
    border_count: int = 64
    column_share: float = 1.0

    def parameters(self, iterations: int) -> dict[str, Any]:
        """As CatBoost names them."""
        return {
            "iterations": iterations,
            "depth": self.depth,
            "learning_rate": self.learning_rate,
            "l2_leaf_reg": self.l2_leaf_reg,
            "random_strength": 0,
            "bootstrap_type": "MVS",
            "subsample": self.subsample,
            "border_count": self.border_count,
            "rsm": self.column_share,
        }


def boost_space(trial: Any) -> dict[str, Any]:
    """`BoostSettings` of one Optuna trial."""
    return {
        "depth": trial.suggest_int("depth", 3, 8),
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.4, log=True),
        "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 0.01, 10.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.4, 1.0),
        "column_share": trial.suggest_float("column_share", 0.05, 1.0, log=True),
    }


def fit_folds(
    features: np.ndarray,
    targets: Sequence[np.ndarray],
    folds: np.ndarray,
    settings: BoostSettings,
    options: FitOptions,
) -> tuple[list[CatBoostRegressor], np.ndarray]:
    """Fit a model for every fold on the labels outside it.

    Parameters
    ----------
    features : ndarray, shape (n, d)
    targets : sequence of ndarray, shape (n,)
        Per fold.
    folds : ndarray of int, shape (n,)
    settings : BoostSettings
    options : FitOptions

    Returns
    -------
    models : list of CatBoostRegressor
        One per fold.
    held_out : ndarray, shape (n,)
        Prediction for every label by the model of its fold.
    """
    parameters = settings.parameters(options.iterations)

    def fitted(k: int) -> CatBoostRegressor:
        train = folds != k
        model = quiet_catboost(options.seed + k, **parameters)
        return model.fit(features[train], targets[k][train])

    numbers = range(int(folds.max()) + 1)
    with ThreadPoolExecutor(options.threads) as pool:
        models = list(pool.map(fitted, numbers))
    held_out = np.empty(len(folds))
    for k, model in enumerate(models):
        held_out[folds == k] = model.predict(features[folds == k], thread_count=1)
    return models, held_out
