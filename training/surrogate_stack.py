"""Fits the weights of a mean over kinds, from predictions that none of them was fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from defects.surrogates.stack_model import StackModel
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from


@dataclass(frozen=True)
class StackSettings:
    """Hyperparameters."""

    members: tuple[str, ...] = ("trees", "pairs")
    """Kinds to fit where none was fitted before; otherwise those are the members."""
    params: Mapping[str, Mapping[str, Any]] | None = None
    """Hyperparameters of the members."""


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial: which kinds besides trees."""
    others = {"pairs": ["pairs"], "pairs, slices": ["pairs", "slices"], "slices": ["slices"]}
    chosen = trial.suggest_categorical("members", list(others))
    return {"members": ["trees", *others[chosen]]}


def fit_stack(task: FitTask, options: FitOptions) -> KindFit:
    """Fit the members that are missing, then the weights with the smallest mean absolute error.

    The held-out prediction of a fold uses weights that come from the other folds.
    """
    from training.surrogate_kinds import fit_kind

    settings = settings_from(StackSettings(), options.params)
    fits = {kind: fit for kind, fit in task.fits.items() if kind != "stack"}
    if len(fits) < 2:
        for kind in settings.members:
            if kind not in fits:
                params = (settings.params or {}).get(kind, {})
                fits[kind] = fit_kind(kind, task, replace(options, params=params))
    means = np.stack([task.held_out_mean(fit) for fit in fits.values()], axis=1)
    held_out = np.empty(len(means))
    for k in range(task.n_folds):
        rest = task.folds != k
        weights = convex_weights(means[rest], task.values[rest])
        held_out[~rest] = means[~rest] @ weights
    weights = convex_weights(means, task.values)
    used = weights > 0
    members = [task.mean_model(kind, fit) for kind, fit in fits.items()]
    model = StackModel(weights[used], [m for m, kept in zip(members, used, strict=True) if kept])
    return KindFit(model, held_out * task.divisor)


def convex_weights(means: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Weights, not negative and of sum 1, with the smallest mean absolute error.

    Parameters
    ----------
    means : ndarray, shape (n, m)
        Prediction of each label by each of m models.
    truth : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (m,)
        Found by iterated reweighting of a quadratic problem over the simplex; weights below 1 %
        are set to zero.
    """
    errors = means - truth[:, None]
    m = errors.shape[1]
    weights = np.full(m, 1 / m)
    floor = max(1e-3 * float(np.abs(errors).mean()), 1e-12)
    for _ in range(30):
        size = np.maximum(np.abs(errors @ weights), floor)
        weights = _simplex_minimum(errors.T @ (errors / size[:, None]), weights)
    weights = np.where(weights < 0.01, 0.0, weights)
    return weights / weights.sum()


def _simplex_minimum(gram: np.ndarray, start: np.ndarray) -> np.ndarray:
    """argmin of w'Gw over the simplex."""
    from scipy.optimize import nnls

    # Non-negative least squares of the square root, with the sum as a heavy row.
    values, vectors = np.linalg.eigh(gram)
    root = (vectors * np.sqrt(np.maximum(values, 0))).T
    heavy = 1e4 * max(float(np.sqrt(values.max())), 1e-12)
    found, _ = nnls(
        np.vstack([root, np.full(len(gram), heavy)]), np.append(np.zeros(len(gram)), heavy)
    )
    total = float(found.sum())
    return found / total if total > 0 else start
