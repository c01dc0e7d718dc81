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
COMMON: dict[str, Any] = {
    "l2_leaf_reg": 0.1,
    "random_strength": 0,
    "bootstrap_type": "MVS",
    "subsample": 0.7,
    "border_count": 64,
}
#: Two kinds of tree per fold, whose mean errs less than either: symmetric trees, and half as many
#: grown leaf by leaf (gaps: 2DMD 5.8 to 5.5 meV, GFN1-xTB 10.1 to 9.2 meV).
MEMBERS: tuple[tuple[float, dict[str, Any]], ...] = (
    (1.0, {"depth": 5, "learning_rate": 0.15}),
    (0.5, {"grow_policy": "Lossguide", "max_leaves": 24, "depth": 8, "learning_rate": 0.2}),
)
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
    """CatBoost models of every fold, and what they predict for their own fold.

    Attributes
    ----------
    trees : list of CatBoostRegressor
        As many for every fold; all of them together are averaged.
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
    """Fit the members of the ensemble for every fold, on the labels outside it.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
    z : list of ndarray, shape (n,)
        Standardised targets per fold (further entries are ignored).
    folds : ndarray of int, shape (n,)
    """
    n_folds = int(folds.max()) + 1

    def fitted(job: tuple[int, int]) -> CatBoostRegressor:
        k, member = job
        share, own = MEMBERS[member]
        parameters = {**COMMON, **own, "iterations": max(1, round(share * iterations))}
        train = folds != k
        return _catboost(seed + k, **parameters).fit(features[train], z[k][train])

    # A few thousand rows are too few to share one model among threads; the models are not.
    jobs = [(k, member) for k in range(n_folds) for member in range(len(MEMBERS))]
    with ThreadPoolExecutor(threads) as pool:
        trees = list(pool.map(fitted, jobs))
    held_out = np.zeros(len(folds))
    for (k, _), tree in zip(jobs, trees, strict=True):
        test = folds == k
        held_out[test] += tree.predict(features[test], thread_count=1) / len(MEMBERS)
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
