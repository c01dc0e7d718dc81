"""Fits Gaussian processes on pairs: hyperparameters by leave-one-out error, weights by algebra."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from defects.encodings.sparse import SparseEncoder
from defects.surrogates.encoded import Encoded
from defects.surrogates.pair_kernel import PairKernel, PairKernelSettings, PairOccupancy
from defects.surrogates.pair_model import PairModel
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from

#: No search where even the best start's error is this many times that of another model.
HOPELESS = 4.0

#: Hyperparameters from which a search may start.
STARTS = (
    PairKernelSettings(),
    # Formation energies: nearly additive, terms shared by all compositions.
    PairKernelSettings(decay=2.0, smoothing=0.7, count_width=50.0, composition=90.0, mixed1=2.5,
                       mixed2=0.06, mixed3=0.02, pair=0.01, noise=0.02),
    # Gaps: every orbit and composition its own term, strong products.
    PairKernelSettings(decay=3.0, smoothing=0.03, independent=1.0, count_width=1.0, linear=2.7,
                       pair=1.4, composition=1.4, mixed1=0.6, mixed2=0.14, mixed3=0.05,
                       constant=50.0, noise=0.03),
)  # fmt: skip


@dataclass(frozen=True)
class PairSettings:
    """How the hyperparameters of the covariance are searched."""

    search_labels: int = 400
    """Labels used for the search; its cost grows with their third power."""
    search_steps: int = 50


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial: the covariance's own are searched by the fit."""
    return {
        "search_labels": trial.suggest_int("search_labels", 100, 800, log=True),
        "search_steps": trial.suggest_int("search_steps", 20, 400, log=True),
    }


def leave_one_out(covariance: np.ndarray, z: np.ndarray, noise: float) -> np.ndarray:
    """Prediction of a Gaussian process for each label from all the others, in closed form.

    Raises
    ------
    numpy.linalg.LinAlgError
        When the covariance is singular.
    """
    inverse = np.linalg.inv(covariance + noise**2 * np.eye(len(z)))
    return z - inverse @ z / np.diag(inverse)


def search_settings(
    batch: Encoded,
    z: np.ndarray,
    weight: np.ndarray,
    rng: np.random.Generator,
    rival: float = np.inf,
    how: PairSettings = PairSettings(),
) -> PairKernelSettings:
    """Hyperparameters with a small leave-one-out error, by a random walk from the best start.

    Parameters
    ----------
    batch : Encoded, n configurations
    z : ndarray, shape (n,)
        Standardised targets.
    weight : ndarray, shape (n,)
        Weight of each error (1 / divisor).
    rng : numpy Generator
    rival : float
        Weighted error of another model, on all labels: what is to be beaten.
    how : PairSettings
    """
    rows = rng.permutation(len(z))[: how.search_labels]
    occupancy, z, weight = batch.occupancy[rows], z[rows], weight[rows]

    def error(settings: PairKernelSettings) -> float:
        try:
            covariance = pair_covariance(batch.encoder, settings, occupancy)
            mean = leave_one_out(covariance, z, settings.noise)
        except np.linalg.LinAlgError:
            return float("inf")
        value = float((np.abs(mean - z) * weight).mean())
        return value if np.isfinite(value) else float("inf")

    scores = [error(s) for s in STARTS]
    best, low = STARTS[int(np.argmin(scores))], min(scores)
    for _ in range(how.search_steps if low < HOPELESS * rival else 0):
        candidate = neighbour(best, rng)
        score = error(candidate)
        if score < low:
            best, low = candidate, score
    return best


def neighbour(settings: PairKernelSettings, rng: np.random.Generator) -> PairKernelSettings:
    """A random step from some hyperparameters."""
    names = [f.name for f in fields(settings)]
    changed = {}
    for name in rng.choice(names, size=int(rng.integers(1, 4)), replace=False):
        value = getattr(settings, str(name))
        if name == "independent":
            changed[str(name)] = float(np.clip(value + rng.normal(0, 0.25), 0.02, 1.0))
        else:
            changed[str(name)] = float(np.clip(value * np.exp(rng.normal(0, 0.8)), 1e-4, 1e4))
    return replace(settings, **changed)


def pair_covariance(
    encoder: SparseEncoder, settings: PairKernelSettings, occupancy: PairOccupancy
) -> np.ndarray:
    """Covariance of all configurations with each other, shape (n, n)."""
    return PairKernel(encoder.host, encoder.defects, settings).matrix(occupancy, occupancy)


def fit_pairs(task: FitTask, options: FitOptions) -> KindFit:
    """Search hyperparameters, then fit one process to all labels and one per fold without it."""
    batch, folds = task.batch, task.folds
    settings = search_settings(
        batch,
        task.z[-1],
        1 / task.divisor,
        np.random.default_rng(options.seed),
        task.rival / task.scale,
        settings_from(PairSettings(), options.params),
    )
    covariance = pair_covariance(batch.encoder, settings, batch.occupancy)
    held_out = np.empty(len(folds))
    for k in range(task.n_folds):
        train, test = np.flatnonzero(folds != k), np.flatnonzero(folds == k)
        weights = solve_weights(covariance[np.ix_(train, train)], task.z[k][train], settings.noise)
        held_out[test] = covariance[np.ix_(test, train)] @ weights
    weights = solve_weights(covariance, task.z[-1], settings.noise)
    return KindFit(PairModel(batch.encoder, settings, batch.arrays, weights), held_out)


def solve_weights(covariance: np.ndarray, z: np.ndarray, noise: float) -> np.ndarray:
    """Weights of a process with this covariance of its labels."""
    return np.linalg.solve(covariance + noise**2 * np.eye(len(z)), z)
