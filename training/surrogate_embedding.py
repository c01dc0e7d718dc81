"""Fits regressors to symmetry-aware embeddings, which are trained once per host and vocabulary."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.errors import ModelError
from defects.surrogates.embedding_model import EmbeddingModel, polynomials
from defects.surrogates.embedding_network import NetworkShape
from training.catboost_fit import quiet_catboost
from training.contrastive import ContrastiveSettings, alignment
from training.embedding_cache import pretrained_embedding
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from

if TYPE_CHECKING:
    from catboost import CatBoostRegressor

REGRESSORS = ("trees", "ridge")


@dataclass(frozen=True)
class EmbeddingSettings:
    """Hyperparameters.

    Attributes
    ----------
    regressor : {"trees", "ridge"}
        CatBoost, or ridge regression as published, both on second-degree polynomials.
    ridge : float
        Penalty of ridge regression.
    depth, learning_rate, l2_leaf_reg
        Of CatBoost.
    dimension, width, pretraining_steps, temperature, pretraining_seed
        Of the embedding; see `ContrastiveSettings` and `NetworkShape`. The seed is one of its own
        so that fits with other seeds share an embedding.
    """

    regressor: str = "trees"
    ridge: float = 1e-3
    depth: int = 6
    learning_rate: float = 0.1
    l2_leaf_reg: float = 0.3
    dimension: int = 12
    width: int = 64
    pretraining_steps: int = 600
    temperature: float = 0.1
    pretraining_seed: int = 0

    def contrastive(self) -> ContrastiveSettings:
        """Settings of the pretraining."""
        return ContrastiveSettings(
            steps=self.pretraining_steps,
            temperature=self.temperature,
            seed=self.pretraining_seed,
            shape=NetworkShape(
                width=self.width, pair_width=3 * self.width // 2, dimension=self.dimension
            ),
        )


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial."""
    return {
        "depth": trial.suggest_int("depth", 3, 8),
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 0.01, 10.0, log=True),
        # Every value is a pretraining of its own, so there are few.
        "temperature": trial.suggest_categorical("temperature", [0.05, 0.1, 0.3]),
        "dimension": trial.suggest_categorical("dimension", [12, 24]),
    }


def fit_embedding(task: FitTask, options: FitOptions) -> KindFit:
    """Embed the labelled configurations and fit a regressor per fold.

    Raises
    ------
    ModelError
        When torch is not installed, or the regressor is none of `REGRESSORS`.
    """
    settings = settings_from(EmbeddingSettings(), options.params)
    if settings.regressor not in REGRESSORS:
        raise ModelError(f"regressor {settings.regressor!r} is none of {', '.join(REGRESSORS)}")
    encoder = task.batch.encoder
    network = pretrained_embedding(
        encoder.host, encoder.defects, encoder.max_defects, settings.contrastive(), options.threads
    )
    columns = polynomials(network.embed(task.batch))
    report = {"alignment": alignment(network, encoder.max_defects)}
    held_out = np.empty(len(task.folds))
    train = [task.folds != k for k in range(task.n_folds)]
    if settings.regressor == "ridge":
        weights = np.array(
            [_ridge(columns[r], task.z[k][r], settings.ridge) for k, r in enumerate(train)]
        )
        for k, rows in enumerate(train):
            held_out[~rows] = columns[~rows] @ weights[k]
        return KindFit(EmbeddingModel(network, [], weights), held_out, report)

    def fitted(k: int) -> CatBoostRegressor:
        model = quiet_catboost(
            options.seed + k,
            iterations=options.iterations,
            depth=settings.depth,
            learning_rate=settings.learning_rate,
            l2_leaf_reg=settings.l2_leaf_reg,
            random_strength=0,
            border_count=64,
        )
        return model.fit(columns[train[k]], task.z[k][train[k]])

    with ThreadPoolExecutor(options.threads) as pool:
        trees = list(pool.map(fitted, range(task.n_folds)))
    for k, rows in enumerate(train):
        held_out[~rows] = trees[k].predict(columns[~rows], thread_count=1)
    return KindFit(
        EmbeddingModel(network, trees, np.empty((0, columns.shape[1]))), held_out, report
    )


def _ridge(columns: np.ndarray, z: np.ndarray, penalty: float) -> np.ndarray:
    """Weights of ridge regression in which columns of any scale count alike, the first free."""
    mean, scale = columns[:, 1:].mean(axis=0), columns[:, 1:].std(axis=0) + 1e-9
    x = (columns[:, 1:] - mean) / scale
    inner = x.T @ x / len(x) + penalty * np.eye(x.shape[1])
    weights = np.linalg.solve(inner, x.T @ (z - z.mean()) / len(x)) / scale
    return np.concatenate([[z.mean() - mean @ weights], weights])
