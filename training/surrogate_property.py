"""Fits the model of one property: tries the kinds asked for, keeps the best, calibrates it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from defects.surrogates.encoded import Encoded
from defects.surrogates.property_model import PropertyModel
from training.surrogate_metrics import conformal_factor, figures, grouped_folds, typical_error
from training.surrogate_pairs import PairFit, fit_pairs, search_settings
from training.surrogate_trees import TreeFit, fit_spread, fit_trees


@dataclass(frozen=True)
class FitOptions:
    """How to fit; see `training.surrogate.fit_surrogate`.

    `deadline` is a time of `time.monotonic`, after which no further kind is tried.
    """

    kinds: tuple[str, ...]
    n_folds: int
    iterations: int
    seed: int
    threads: int
    deadline: float | None = None


def fit_property(
    name: str, batch: Encoded, values: np.ndarray, keys: Sequence[str], options: FitOptions
) -> tuple[PropertyModel, dict[str, Any]]:
    """Fit one property.

    Parameters
    ----------
    name : str
    batch : Encoded, n labelled configurations
    values : ndarray, shape (n,)
    keys : sequence of str, length n
        Canonical keys, by which folds are grouped.
    options : FitOptions

    Returns
    -------
    model : PropertyModel
    report : dict
        For the manifest: kind, number of labels, cross-validated figures, errors of all kinds.
    """
    started = time.monotonic()
    folds = grouped_folds(keys, min(options.n_folds, len(set(keys))), options.seed)
    problem = _Problem(name, batch, values, folds)
    fits: dict[str, PairFit | TreeFit] = {}
    errors: dict[str, float] = {}
    typical: dict[str, float] = {}
    for kind in options.kinds:
        if fits and options.deadline is not None and time.monotonic() > options.deadline:
            break
        if kind == "trees":
            fits[kind] = problem.fit_trees(options)
        else:
            fits[kind] = problem.fit_pairs(options, min(errors.values(), default=np.inf))
        found = problem.errors(fits[kind].held_out)
        errors[kind], typical[kind] = float(found.mean()), typical_error(found)
    kind = min(typical, key=lambda k: typical[k])
    best = fits[kind]

    residual = best.held_out - problem.held_out_z()
    spread = fit_spread(batch.features, residual, folds, seed=options.seed, threads=options.threads)
    mean, std = problem.in_units(best.held_out, spread.held_out)
    factor = conformal_factor(values - mean, std)
    model = PropertyModel(
        name,
        kind,
        problem.coefficients,
        problem.scale,
        best.trees if isinstance(best, TreeFit) else [],
        best.model if isinstance(best, PairFit) else None,
        spread.model,
        factor,
    )
    held_out = figures(values, mean, _cross_calibrated(values - mean, std, folds))
    report = {
        "model": kind,
        "n_labels": len(values),
        "n_classes": len(set(keys)),
        "range": [float(values.min()), float(values.max())],
        "metrics": held_out,
        "mae_by_model": errors,
        "interval": {"nominal": 0.9, "factor": factor},
        "fit_seconds": round(time.monotonic() - started, 2),
    }
    return model, report


class _Problem:
    """Standardised targets of one property, per fold."""

    def __init__(self, name: str, batch: Encoded, values: np.ndarray, folds: np.ndarray) -> None:
        self.name, self.batch, self.values, self.folds = name, batch, values, folds
        self.divisor = batch.divisor(name)
        self.columns = batch.baseline(name)
        total = values * self.divisor
        n_folds = int(folds.max()) + 1
        rows = [folds != k for k in range(n_folds)] + [np.ones(len(values), dtype=bool)]
        self.coefficients = np.array([_least_squares(self.columns[r], total[r]) for r in rows])
        left = total - self.columns @ self.coefficients[-1]
        self.scale = float(left.std()) or 1.0
        self.z = [(total - self.columns @ c) / self.scale for c in self.coefficients]

    def held_out_z(self) -> np.ndarray:
        """Target of each label as the models of its own fold define it, shape (n,)."""
        return np.choose(self.folds, self.z[:-1])

    def in_units(self, z: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Held-out predictions and spreads of z, in the property's unit."""
        baseline = np.einsum("nc,nc->n", self.columns, self.coefficients[self.folds])
        return (baseline + self.scale * z) / self.divisor, self.scale * spread / self.divisor

    def errors(self, z: np.ndarray) -> np.ndarray:
        """Absolute errors of held-out predictions, in the property's unit, shape (n,)."""
        return np.abs(self.in_units(z, z)[0] - self.values)

    def fit_pairs(self, options: FitOptions, rival: float) -> PairFit:
        rng = np.random.default_rng(options.seed)
        settings = search_settings(
            self.batch, self.z[-1], 1 / self.divisor, rng, rival / self.scale
        )
        return fit_pairs(self.batch, self.z, self.folds, settings)

    def fit_trees(self, options: FitOptions) -> TreeFit:
        return fit_trees(
            self.batch.features,
            self.z,
            self.folds,
            iterations=options.iterations,
            seed=options.seed,
            threads=options.threads,
        )


def _cross_calibrated(error: np.ndarray, std: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Spreads with the factor of the other folds: for an honest figure of the coverage."""
    out = np.empty_like(std)
    for k in range(int(folds.max()) + 1):
        rest = folds != k
        out[~rest] = std[~rest] * conformal_factor(error[rest], std[rest])
    return out


def _least_squares(columns: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Coefficients of the baseline; of the smallest norm where counts depend on each other."""
    return np.linalg.lstsq(columns, total, rcond=1e-8)[0]
