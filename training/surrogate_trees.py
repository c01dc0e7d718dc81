"""Fits CatBoost to sparse features: an ensemble over the folds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    features, folds = task.batch.features, task.folds
    members = settings_from(TreeSettings(), options.params).members(options.iterations)

    def fitted(job: tuple[int, int]) -> CatBoostRegressor:
        k, member = job
        train = folds != k
        model = quiet_catboost(options.seed + k, **members[member])
        return model.fit(features[train], task.z[k][train])

    # A few thousand rows are too few to share one model among threads; the models are not.
    jobs = [(k, member) for k in range(task.n_folds) for member in range(len(members))]
    with ThreadPoolExecutor(options.threads) as pool:
        trees = list(pool.map(fitted, jobs))
    held_out = np.zeros(len(folds))
    for (k, _), tree in zip(jobs, trees, strict=True):
        test = folds == k
        held_out[test] += tree.predict(features[test], thread_count=1) / len(members)
    return KindFit(TreesModel(trees), held_out)
