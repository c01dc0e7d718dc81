"""Fits the model of one property: tries the kinds asked for, keeps the best, calibrates it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from defects.surrogates.encoded import Encoded
from defects.surrogates.property_model import PropertyModel
from training.surrogate_kinds import fit_kind
from training.surrogate_metrics import conformal_factor, figures, grouped_folds, typical_error
from training.surrogate_spread import fit_spread
from training.surrogate_task import FitOptions, FitTask, KindFit


def fit_property(
    name: str,
    batch: Encoded,
    values: np.ndarray,
    keys: Sequence[str],
    kinds: Sequence[str],
    options: FitOptions,
    params: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[PropertyModel, dict[str, Any]]:
    """Fit one property.

    Parameters
    ----------
    name : str
    batch : Encoded, n labelled configurations
    values : ndarray, shape (n,)
    keys : sequence of str, length n
        Canonical keys, by which folds are grouped.
    kinds : sequence of str
        To be tried; the one with the smallest held-out error is kept.
    options : FitOptions
    params : mapping of kind to hyperparameters, optional

    Returns
    -------
    model : PropertyModel
    report : dict
        For the manifest: kind, number of labels, cross-validated figures, errors of all kinds.
    """
    started = time.monotonic()
    folds = grouped_folds(keys, min(options.n_folds, len(set(keys))), options.seed)
    task = FitTask(name, batch, values, folds)
    fits: dict[str, KindFit] = {}
    errors: dict[str, float] = {}
    typical: dict[str, float] = {}
    for kind in kinds:
        if fits and options.deadline is not None and time.monotonic() > options.deadline:
            break
        task.rival = min(errors.values(), default=np.inf)
        fits[kind] = fit_kind(kind, task, replace(options, params=(params or {}).get(kind, {})))
        found = np.abs(task.held_out_mean(fits[kind]) - values)
        errors[kind], typical[kind] = float(found.mean()), typical_error(found)
    kind = min(typical, key=lambda k: typical[k])
    best = fits[kind]

    mean = task.held_out_mean(best)
    residual = (mean - values) * task.divisor / task.scale
    spread = fit_spread(batch.features, residual, folds, seed=options.seed, threads=options.threads)
    std = task.scale * spread.held_out / task.divisor
    factor = conformal_factor(values - mean, std)
    model = PropertyModel(
        name, kind, task.coefficients, task.scale, best.model, spread.model, factor
    )
    report = {
        "model": kind,
        "n_labels": len(values),
        "n_classes": len(set(keys)),
        "range": [float(values.min()), float(values.max())],
        "metrics": figures(values, mean, _cross_calibrated(values - mean, std, folds)),
        "mae_by_model": errors,
        **({"details": dict(best.report)} if best.report else {}),
        "interval": {"nominal": 0.9, "factor": factor},
        "fit_seconds": round(time.monotonic() - started, 2),
    }
    return model, report


def _cross_calibrated(error: np.ndarray, std: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Spreads with the factor of the other folds: for an honest figure of the coverage."""
    out = np.empty_like(std)
    for k in range(int(folds.max()) + 1):
        rest = folds != k
        out[~rest] = std[~rest] * conformal_factor(error[rest], std[rest])
    return out
