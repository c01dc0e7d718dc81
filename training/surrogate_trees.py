"""Fits CatBoost: an ensemble over folds for the mean, a small model for the spread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.surrogates.property_model import new_catboost

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

#: Labels are calculations without noise, so splits are chosen without CatBoost's random strength
#: and leaves are hardly shrunk; on the 2DMD gaps that took the error from 7.0 to 5.8 meV.
PARAMETERS: dict[str, Any] = {
    "learning_rate": 0.1,
    "depth": 5,
    "l2_leaf_reg": 0.1,
    "random_strength": 0,
    "bootstrap_type": "MVS",
    "subsample": 0.7,
    "border_count": 64,
}
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
class TreeFit:
    """One CatBoost model per fold, and what each predicts for its own fold.

    Attributes
    ----------
    trees : list of CatBoostRegressor
    held_out : ndarray, shape (n,)
    """

    trees: list[CatBoostRegressor]
    held_out: np.ndarray


def fit_trees(
    features: np.ndarray,
    z: list[np.ndarray],
    folds: np.ndarray,
    *,
    iterations: int,
    seed: int,
    threads: int,
) -> TreeFit:
    """Fit one CatBoost model per fold, on the labels outside it.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
    z : list of ndarray, shape (n,)
        Standardised targets per fold (further entries are ignored).
    folds : ndarray of int, shape (n,)
    """
    parameters = {**PARAMETERS, "iterations": iterations}

    def fitted(k: int) -> CatBoostRegressor:
        train = folds != k
        return _catboost(seed + k, **parameters).fit(features[train], z[k][train])

    # A few thousand rows are too few to share one model among threads; the folds are not.
    with ThreadPoolExecutor(threads) as pool:
        trees = list(pool.map(fitted, range(int(folds.max()) + 1)))
    held_out = np.empty(len(folds))
    for k, tree in enumerate(trees):
        held_out[folds == k] = tree.predict(features[folds == k], thread_count=1)
    return TreeFit(trees, held_out)


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
    features: np.ndarray, residual: np.ndarray, folds: np.ndarray, *, seed: int, threads: int
) -> SpreadFit:
    """Fit the size of held-out residuals, once with all and once per fold without it."""
    size = np.abs(residual)
    log = np.log(size + max(FLOOR * float(np.median(size)), 1e-12))

    def fitted(rows: np.ndarray) -> CatBoostRegressor:
        return _catboost(seed, **SPREAD_PARAMETERS).fit(features[rows], log[rows])

    n_folds = int(folds.max()) + 1
    everything = np.ones(len(folds), dtype=bool)
    with ThreadPoolExecutor(threads) as pool:
        *parts, whole = pool.map(fitted, [*(folds != k for k in range(n_folds)), everything])
    held_out = np.empty(len(folds))
    for k, model in enumerate(parts):
        held_out[folds == k] = np.exp(model.predict(features[folds == k], thread_count=1))
    return SpreadFit(whole, held_out)


def _catboost(seed: int, **parameters: Any) -> CatBoostRegressor:
    return new_catboost(
        random_seed=seed,
        thread_count=1,
        allow_writing_files=False,
        allow_const_label=True,
        logging_level="Silent",
        **parameters,
    )
