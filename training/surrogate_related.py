"""Fits a Gaussian process that reads the prediction of a related property."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from defects.errors import ModelError
from defects.surrogates.pair_kernel import PairKernel, PairKernelSettings
from defects.surrogates.pair_model import PairModel
from defects.surrogates.related_model import RelatedModel, Slopes
from training.surrogate_pairs import STARTS, leave_one_out, neighbour, solve_weights
from training.surrogate_task import (
    RELATED,
    FitOptions,
    FitTask,
    KindFit,
    related_of,
    settings_from,
)
from training.surrogate_trees import fit_trees


@dataclass(frozen=True)
class RelatedSettings:
    """How the hyperparameters are searched."""

    search_labels: int = 400
    """Labels used for the search; its cost grows with their third power."""
    search_steps: int = 60


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial: the covariance's own are searched by the fit."""
    return {
        "search_labels": trial.suggest_int("search_labels", 100, 800, log=True),
        "search_steps": trial.suggest_int("search_steps", 20, 400, log=True),
    }


def fit_related(task: FitTask, options: FitOptions) -> KindFit:
    """Fit trees to the related property, then a process that reads their held-out predictions.

    Raises
    ------
    ModelError
        When the task has no labels of a related property for all its configurations.
    """
    name = related_of(task)
    if name is None:
        wanted = RELATED.get(task.name, (None, 0.0))[0]
        raise ModelError(
            f"{task.name}: the kind related needs labels of {wanted} for the same configurations"
            if wanted
            else f"{task.name}: no property is known to be related to it"
        )
    how = settings_from(RelatedSettings(), options.params)
    labels = task.related[name]
    other = FitTask(name, labels.batch, labels.values, labels.folds)
    trees = fit_trees(other, replace(options, params={}))
    # What a new configuration will have: predictions by models that did not see it.
    found = other.held_out_mean(trees)[labels.rows]
    shift, width = float(found.mean()), float(found.std()) or 1.0
    levels = (found - shift) / width

    process = _Process(task, levels, RELATED[task.name][1] * width / task.scale)
    settings, slopes = process.search(how, np.random.default_rng(options.seed))
    covariance = process.covariance(settings, slopes, np.arange(len(levels)))
    held_out = np.empty(len(levels))
    for k in range(task.n_folds):
        train, test = np.flatnonzero(task.folds != k), np.flatnonzero(task.folds == k)
        z = task.z[k] - slopes.mean * levels
        weights = solve_weights(covariance[np.ix_(train, train)], z[train], settings.noise)
        held_out[test] = covariance[np.ix_(test, train)] @ weights + slopes.mean * levels[test]
    weights = solve_weights(covariance, task.z[-1] - slopes.mean * levels, settings.noise)
    pairs = PairModel(task.batch.encoder, settings, task.batch.arrays, weights)
    related = other.mean_model("trees", trees)
    return KindFit(RelatedModel(related, pairs, levels, shift, width, slopes), held_out)


class _Process:
    """Covariances of one task, and the search for their hyperparameters."""

    def __init__(self, task: FitTask, levels: np.ndarray, slope: float) -> None:
        self.task, self.levels, self.slope = task, levels, slope

    def covariance(
        self, settings: PairKernelSettings, slopes: Slopes, rows: np.ndarray
    ) -> np.ndarray:
        encoder, occupancy = self.task.batch.encoder, self.task.batch.occupancy[rows]
        kernel = PairKernel(encoder.host, encoder.defects, settings)
        same = kernel.same(occupancy, occupancy)
        levels = self.levels[rows]
        return kernel.matrix(occupancy, occupancy) + slopes.matrix(levels, levels, same)

    def search(
        self, how: RelatedSettings, rng: np.random.Generator
    ) -> tuple[PairKernelSettings, Slopes]:
        """Hyperparameters with a small leave-one-out error, by a random walk."""
        rows = rng.permutation(len(self.levels))[: how.search_labels]
        z, levels = self.task.z[-1][rows], self.levels[rows]
        weight = 1 / self.task.divisor[rows]

        def error(settings: PairKernelSettings, slopes: Slopes) -> float:
            left = z - slopes.mean * levels
            try:
                covariance = self.covariance(settings, slopes, rows)
                mean = leave_one_out(covariance, left, settings.noise)
            except np.linalg.LinAlgError:
                return float("inf")
            value = float((np.abs(mean - left) * weight).mean())
            return value if np.isfinite(value) else float("inf")

        starts = [
            (settings, Slopes(mean, shared, 0.3))
            for settings in STARTS
            for mean, shared in ((0.0, 0.5), (self.slope, 0.1))
        ]
        scores = [error(*start) for start in starts]
        best, low = starts[int(np.argmin(scores))], min(scores)
        for _ in range(how.search_steps):
            factors = np.exp(rng.normal(0, 0.5, size=2))
            slopes = Slopes(
                best[1].mean,
                float(np.clip(best[1].shared * factors[0], 1e-3, 1e3)),
                float(np.clip(best[1].own * factors[1], 1e-3, 1e3)),
            )
            candidate = (neighbour(best[0], rng), slopes)
            score = error(*candidate)
            if score < low:
                best, low = candidate, score
        return best
