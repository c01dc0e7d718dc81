"""Fits CatBoost to sparse features: an ensemble over the folds."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.surrogates.trees_model import TreesModel
from training.catboost_fit import quiet_catboost
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from

if TYPE_CHECKING:
    from catboost import CatBoostRegressor


@dataclass(frozen=True)
class TreeSettings:
    """Hyperparameters.

    Labels are calculations without noise, so splits are chosen without CatBoost's random strength
    and leaves are hardly shrunk; on the 2DMD gaps that took the error from 7.0 to 5.8 meV. Two
    kinds of tree per fold, whose mean errs less than either: symmetric trees, and half as many
    grown leaf by leaf (gaps: 2DMD 5.8 to 5.5 meV, GFN1-xTB 10.1 to 9.2 meV).
    """

    depth: int = 5
    learning_rate: float = 0.15
    leaves: int = 24
    leafwise_rate: float = 0.2
    leafwise_share: float = 0.5
    l2_leaf_reg: float = 0.1
    subsample: float = 0.7
    border_count: int = 64

    def members(self, iterations: int) -> list[dict[str, Any]]:
        """Parameters of CatBoost for each member of a fold."""
        common = {
            "l2_leaf_reg": self.l2_leaf_reg,
            "random_strength": 0,
            "bootstrap_type": "MVS",
            "subsample": self.subsample,
            "border_count": self.border_count,
        }
        symmetric = {
            "depth": self.depth,
            "learning_rate": self.learning_rate,
            "iterations": iterations,
        }
        leafwise = {
            "grow_policy": "Lossguide",
            "max_leaves": self.leaves,
            "depth": 8,
            "learning_rate": self.leafwise_rate,
            "iterations": max(1, round(self.leafwise_share * iterations)),
        }
        return [{**common, **symmetric}, {**common, **leafwise}]


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial."""
    return {
        "depth": trial.suggest_int("depth", 3, 8),
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.4, log=True),
        "leaves": trial.suggest_int("leaves", 8, 64, log=True),
        "leafwise_rate": trial.suggest_float("leafwise_rate", 0.05, 0.5, log=True),
        "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 0.01, 10.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.4, 1.0),
        "border_count": trial.suggest_int("border_count", 32, 254, log=True),
    }


def fit_trees(task: FitTask, options: FitOptions) -> KindFit:
    """Fit the members of the ensemble for every fold, on the labels outside it."""
    folds, n_folds = task.folds, task.n_folds
    fits = _fit_members(task, options, [(k, folds != k) for k in range(n_folds)])
    held_out = np.zeros(len(folds))
    for k, trees in enumerate(fits):
        test = folds == k
        held_out[test] = _mean(trees, task.batch.features[test])
    model = TreesModel([tree for trees in fits for tree in trees])
    # Without two of two folds nothing would be left to fit.
    jackknife = partial(_held_out_jackknife, task, options, held_out) if n_folds > 2 else None
    return KindFit(model, held_out, jackknife=jackknife)


def _held_out_jackknife(task: FitTask, options: FitOptions, held_out: np.ndarray) -> np.ndarray:
    """Standard error of every held-out prediction, shape (n,), in the space ``z``.

    The jackknife of the model without fold k would take away each of the other g - 1 folds in
    turn. Two of them are taken here, the neighbours in a ring of folds: g further fits instead of
    g (g - 1) / 2, for an estimate with two degrees of freedom per label.
    """
    folds, n_folds = task.folds, task.n_folds
    features, columns = task.batch.features, task.columns
    # Fold k's baseline is used, which still knows the labels of fold k + 1: what the trees alone
    # lack makes the doubt slightly too small. The baseline is linear in a few counts.
    ring = [(k, (folds != k) & (folds != (k + 1) % n_folds)) for k in range(n_folds)]
    squares = np.zeros(len(folds))
    for (k, train), trees in zip(ring, _fit_members(task, options, ring), strict=True):
        without = _mean(trees, features[~train])
        # Both folds' baselines differ: as held-out predictions, relative to that of each label's.
        shift = columns[~train] @ task.coefficients[k]
        shift -= np.einsum("nc,nc->n", columns[~train], task.coefficients[folds[~train]])
        squares[~train] += (without + shift / task.scale - held_out[~train]) ** 2 / 2
    return np.sqrt((n_folds - 2) * squares)


def _fit_members(
    task: FitTask, options: FitOptions, parts: Sequence[tuple[int, np.ndarray]]
) -> list[list[CatBoostRegressor]]:
    """All members for each part of the labels: a fold, whose baseline counts, and the rows."""
    features = task.batch.features
    members = settings_from(TreeSettings(), options.params).members(options.iterations)

    def fitted(job: tuple[tuple[int, np.ndarray], dict[str, Any]]) -> CatBoostRegressor:
        (k, train), parameters = job
        model = quiet_catboost(options.seed + k, **parameters)
        return model.fit(features[train], task.z[k][train])

    # A few thousand rows are too few to share one model among threads; the models are not.
    with ThreadPoolExecutor(options.threads) as pool:
        trees = list(pool.map(fitted, product(parts, members)))
    return [trees[i : i + len(members)] for i in range(0, len(trees), len(members))]


def _mean(trees: Sequence[CatBoostRegressor], features: np.ndarray) -> np.ndarray:
    return np.mean([tree.predict(features, thread_count=1) for tree in trees], axis=0)
